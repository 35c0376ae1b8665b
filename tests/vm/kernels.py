"""The kernels that the probe is tested on, and the features that each lacks."""

import fcntl
import os
import platform
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# Debian's names of architectures, by those of the kernel.
PORTS = {"x86_64": "amd64", "aarch64": "arm64"}
NATIVE = PORTS.get(platform.machine(), platform.machine())
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "exec_exporter"


@contextmanager
def cache_to_itself():
    """Hold the lock of the cache, which all checkouts of a user share, while it is changed."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@dataclass(frozen=True)
class Kernel:
    """A series of Debian's kernels; `missing` are the features of exporter/compiler/kernel_types.py that it lacks."""

    series: str
    arch: str = "amd64"
    flavour: str = "cloud"
    missing: frozenset[str] = frozenset()

    @property
    def name(self):
        """Return the name, for example 6.1, 6.1-rt or 6.1-arm64."""
        parts = [self.series]
        if self.flavour != "cloud":
            parts.append(self.flavour)
        if self.arch != "amd64":
            parts.append(self.arch)
        return "-".join(parts)

    @property
    def directory(self):
        """Return the directory of the fetched kernel: vmlinuz, config, btf/, lib/modules/."""
        return CACHE / "kernels" / self.name

    @property
    def release(self):
        """Return the release, as `uname -r` prints it."""
        return (self.directory / "release").read_text("ascii").strip()


# 6.7: 21ca59b365c0 ("binfmt_misc: enable sandboxed mounts")
BEFORE_6_7 = frozenset({"misc_namespaces"})
# 6.5: 62d53c4a1dfe ("fs: use backing_file container for internal files with "fake" f_path")
BEFORE_6_5 = BEFORE_6_7 | {"backing_file"}
# 5.11: 36e68442d1af ("bpf: Load and verify kernel module BTFs"): before that, types of overlay are not exposed
BEFORE_5_11 = BEFORE_6_5 | {"overlay_backing"}

MATRIX = (
    Kernel("5.10", missing=BEFORE_5_11),
    Kernel("6.1", missing=BEFORE_6_5),
    Kernel("6.1", flavour="rt", missing=BEFORE_6_5),
    Kernel("6.12"),
    Kernel("6.16"),
    Kernel("6.18"),
    Kernel("7.2"),
    Kernel("7.3"),
    Kernel("5.10", arch="arm64", missing=BEFORE_5_11),
    Kernel("6.1", arch="arm64", missing=BEFORE_6_5),
    Kernel("6.12", arch="arm64"),
    Kernel("7.3", arch="arm64"),
)
BY_NAME = {kernel.name: kernel for kernel in MATRIX}
OLDEST, NEWEST = BY_NAME["5.10"], BY_NAME["7.3"]
