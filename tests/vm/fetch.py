"""Fetch kernels into the cache: python -m tests.vm.fetch [NAME...]

Each NAME is one of kernels.py and fetched if it is missing. Without names, all are fetched, also those with a newer
release.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.vm.archive import Archive, ArchiveError
from tests.vm.image import module_btf, vmlinux_btf
from tests.vm.kernels import BY_NAME, CACHE, MATRIX, cache_to_itself

# Modules that a guest needs to mount its root directory, and modules for tests of filesystems.
MODULES = re.compile(
    r"/(virtio.*|virtiofs|fuse|overlay|failover|net_failover|loop|ext4|mbcache|jbd2|crc.*|crypto_.*|binfmt_misc)\.ko"
)


def fetch(kernels, newest=False):
    """Fetch kernels that are not in the cache; with `newest` also those with a newer release in the archive."""
    with cache_to_itself():
        archives = {}
        for kernel in kernels:
            if not newest and (kernel.directory / "release").exists():
                continue
            if kernel.arch not in archives:
                archives[kernel.arch] = Archive(CACHE / "apt", kernel.arch)
                archives[kernel.arch].update()
            _fetch(kernel, archives[kernel.arch])


def releases(kernel, names):
    """Return the releases of a kernel's series among package names, newest first."""
    wanted = re.compile(rf"linux-image-({re.escape(kernel.series)}\.\d\S*-{kernel.flavour}-{kernel.arch})")
    found = [match[1] for match in map(wanted.fullmatch, names) if match]
    return sorted(found, key=lambda release: [int(part) for part in re.findall(r"\d+", release)], reverse=True)


def _fetch(kernel, archive):
    """Fetch the newest release that can be downloaded: lists may name packages that are gone."""
    tried = []
    for release in releases(kernel, archive.names(f"linux-image-{kernel.series}.")):
        if (kernel.directory / "release").exists() and kernel.release == release:
            return
        _say(f"fetching Linux {release}")
        try:
            _install(kernel, release, archive)
        except ArchiveError as error:
            tried.append(str(error))
            continue
        return
    raise ArchiveError(f"no kernel {kernel.name} can be had: {'; '.join(tried) or 'no such package'}")


def _install(kernel, release, archive):
    modules_apart = archive.names(f"linux-modules-{release}")
    parts = ("linux-base", "linux-binary", "linux-modules") if modules_apart else ("linux-image",)
    with tempfile.TemporaryDirectory(dir=CACHE) as directory:
        unpacked, made = Path(directory), Path(directory) / "made"
        archive.unpack([f"{part}-{release}" for part in parts], unpacked)
        found = next(unpacked.glob(f"root/usr/lib/modules/{release}"), unpacked / f"root/lib/modules/{release}")
        modules = made / "lib/modules" / release
        shutil.copytree(found, modules, symlinks=True, ignore=_unneeded)
        for name in ("vmlinuz", "config"):
            boot = unpacked / f"root/boot/{name}-{release}"
            shutil.copyfile(boot if boot.exists() else found / name, made / name)
        subprocess.run(["depmod", "-b", made, release], check=True, capture_output=True)
        _cut_out_types(made, modules)
        (made / "release").write_text(release + "\n", "ascii")
        shutil.rmtree(kernel.directory, ignore_errors=True)
        kernel.directory.parent.mkdir(exist_ok=True)
        made.rename(kernel.directory)


def _unneeded(directory, names):
    if "/kernel" not in directory:
        return []
    return [name for name in names if ".ko" in name and not MODULES.search(f"/{name}")]


def _cut_out_types(made, modules):
    """Write btf/ as the kernel would expose it: modules have types of their own since 5.11."""
    (made / "btf").mkdir()
    (made / "btf/vmlinux").write_bytes(vmlinux_btf((made / "vmlinuz").read_bytes()))
    for module in modules.rglob("overlay.ko*"):
        types = module_btf(module.read_bytes())
        if types:
            (made / "btf/overlay").write_bytes(types)


def _say(line):
    if sys.stderr.isatty():
        print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    fetch([BY_NAME[name] for name in sys.argv[1:]] or MATRIX, newest=not sys.argv[1:])
