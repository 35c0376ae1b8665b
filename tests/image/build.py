"""Build the image without engine or registry: python -m tests.image.build. Layers are kept in the user's cache.

The base of the Dockerfile is made from Debian's packages, as Debian makes it.
"""

import configparser
import os
import resource
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

from tests.vm.archive import KEYRING, mirrors
from tests.vm.kernels import CACHE, NATIVE

ROOT = Path(__file__).resolve().parents[2]
DIRECTORY = CACHE / "containers"
IMAGE = "localhost/exec-exporter:test"
SUITE = "trixie"
CA = Path("/etc/ssl/certs/ca-certificates.crt")
CA_INSIDE = "/run/host-ca.crt"  # no package writes there
# Files that Debian's slim images omit.
SLIM = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "groff", "info", "locale", "lintian", "man")]


def run(*command, **options):
    """Run buildah or one of its helpers with a storage of our own; return the output."""
    environment = {**os.environ, **_configuration()}
    result = subprocess.run(
        ["nice", "-n", "10", *map(str, command)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        **options,
    )
    if result.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}: {result.stdout[-4000:]}{result.stderr[-4000:]}")
    return result.stdout.strip()


def _configuration():
    """Write the configuration, with no higher limits than ours: root may lack CAP_SYS_RESOURCE."""
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    storage, engine = DIRECTORY / "storage.conf", DIRECTORY / "containers.conf"
    storage.write_text(
        f'[storage]\ndriver = "overlay"\ngraphroot = "{DIRECTORY}/storage"\nrunroot = "{DIRECTORY}/run"\n'
    )
    engine.write_text(f'[containers]\ndefault_ulimits = ["nofile={files}:{files}", "nproc=30000:30000"]\n')
    return {"CONTAINERS_STORAGE_CONF": str(storage), "CONTAINERS_CONF": str(engine)}


def make_base(arch=NATIVE):
    """Make the image debian:SUITE-slim for this machine, once."""
    name = f"docker.io/library/debian:{SUITE}-slim" if arch == NATIVE else f"localhost/debian-{arch}:{SUITE}-slim"
    if run("buildah", "images", "--quiet", "--filter", f"reference={name}"):
        return name
    found = mirrors()
    sources = [
        f"deb {found['debian']} {SUITE} main",
        f"deb {found['debian']} {SUITE}-updates main",
        f"deb {found['debian-security']} {SUITE}-security main",
    ]
    with tempfile.TemporaryDirectory() as directory:
        tar = Path(directory) / "root.tar"
        options = ["--mode=root", "--variant=minbase", f"--keyring={KEYRING}", f"--architectures={arch}", *SLIM]
        run("mmdebstrap", *options, SUITE, tar, *sources)
        container = run("buildah", "from", f"--arch={arch}", "scratch")
        run("buildah", "add", "--quiet", container, tar, "/")
        run("buildah", "config", "--cmd=/bin/bash", container)
        run("buildah", "commit", "--quiet", "--rm", container, name)
    return name


def build(name=IMAGE):
    """Build the image."""
    make_base()
    options = ["--isolation=chroot", "--network=host", "--pull-never", "--format=docker", "--layers"]
    with tempfile.TemporaryDirectory() as directory:
        options += _network(Path(directory))
        run("buildah", "build", *options, f"--build-arg=DEBIAN={SUITE}", f"--tag={name}", ROOT)
    return name


def _network(directory):
    """Return options for pip's access to its index: this machine's index and the certificates that it trusts."""
    if not CA.exists():
        return []
    configuration = configparser.ConfigParser()
    configuration.read("/etc/pip.conf")
    if not configuration.has_section("global"):
        configuration.add_section("global")
    configuration["global"]["cert"] = CA_INSIDE
    for variable, key in (("PIP_INDEX_URL", "index-url"), ("PIP_EXTRA_INDEX_URL", "extra-index-url")):
        if variable in os.environ:
            configuration["global"][key] = os.environ[variable]
    with (directory / "pip.conf").open("w") as file:
        configuration.write(file)
    return [f"--volume={directory}/pip.conf:/etc/pip.conf:ro", f"--volume={CA}:{CA_INSIDE}:ro"]


@contextmanager
def mounted(name=IMAGE):
    """Mount the root directory of a container that is made from the image."""
    container = run("buildah", "from", "--pull-never", name)
    try:
        yield Path(run("buildah", "mount", container))
    finally:
        run("buildah", "umount", container)
        run("buildah", "rm", container)


if __name__ == "__main__":
    build()
