"""Debian's packages: most are installed; servers are only unpacked, because an installation would start them."""

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

UNPACKED = Path(__file__).parents[2] / ".cache"
SBIN = "/usr/sbin:/sbin"
SUDO = ["sudo"] if os.geteuid() else []


@dataclass(frozen=True)
class Need:
    """Commands, the packages that have them, and packages that only some releases of Debian have."""

    commands: str
    packages: str
    if_there: str = ""


NEEDS = {
    # the probe and the service
    "kernel": Need(
        "stress-ng systemd-analyze setpriv setcap wrk mkfs.ext4 strace",
        "stress-ng systemd util-linux libcap2-bin wrk e2fsprogs strace",
    ),
    # other kernels; Debian 12 has virtiofsd in qemu-system-common
    "vm": Need(
        "qemu-system-x86_64 busybox depmod zstd lz4",
        "qemu-system-x86 qemu-system-common busybox-static kmod zstd lz4",
        "virtiofsd",
    ),
    # builds and runs the image without an engine; newer releases of buildah cannot create containers without netavark
    "image": Need(
        "buildah mmdebstrap runc nsenter getcap openssl",
        "buildah mmdebstrap runc util-linux libcap2-bin openssl",
        "netavark",
    ),
    "ports": Need("qemu-system-aarch64 mmdebstrap", "qemu-system-arm mmdebstrap"),
    "bench": Need("gcc make", "gcc libc6-dev make"),
    # besides the compiled programs of a Kubernetes node
    "cluster": Need(
        "etcd containerd iptables ip gcc catatonit curl",
        "etcd-server containerd containernetworking-plugins iptables iproute2 gcc libc6-dev catatonit curl",
    ),
}
SERVERS = {
    "prometheus": ("prometheus",),
    "promtool": ("promtool", "prometheus"),  # in a package of its own in newer releases
    "prometheus-alertmanager": ("prometheus-alertmanager",),
    "amtool": ("amtool", "prometheus-alertmanager"),
}
TEMPLATES = "alertmanager-templates"  # Debian's Alertmanager does not start without them


def install(names):
    """Install the missing packages for these kinds of tests. Without apt-get, tests that need them are skipped."""
    needs = [NEEDS[name] for name in names]
    missing = [command for need in needs for command in need.commands.split() if not _is_there(command)]
    if not missing or not shutil.which("apt-get"):
        return
    print(f"installing {' '.join(dict.fromkeys(missing))}", file=sys.stderr, flush=True)
    _update()
    packages = [package for need in needs for package in need.packages.split()]
    packages += [package for need in needs for package in need.if_there.split() if _is_known(package)]
    options = ["-y", "-qq", "--no-install-recommends", *packages]
    environment = ["env", "DEBIAN_FRONTEND=noninteractive"]
    subprocess.run([*SUDO, *environment, "apt-get", "install", *options], stdout=subprocess.DEVNULL, check=True)


def unpack(name):
    """Put a server's program into .cache, out of its package; raise SystemExit if no package has it."""
    program = UNPACKED / name
    UNPACKED.mkdir(exist_ok=True)
    installed = shutil.which(name)
    program.unlink(missing_ok=True)
    if installed:
        program.symlink_to(installed)
        return
    for package in SERVERS[name]:
        with _contents(package) as root:
            if (root / "usr/bin" / name).exists():
                shutil.copy2(root / "usr/bin" / name, program)
                return
    sys.exit(f"tests.tools: no {name} in Debian's packages")


def templates():
    """Put Alertmanager's templates into .cache."""
    with _contents("prometheus-alertmanager") as root:
        shutil.copytree(root / "usr/share/prometheus/alertmanager", UNPACKED / TEMPLATES)


@contextmanager
def _contents(package):
    """Yield a directory with the package's files; an empty one if there is no such package."""
    if not _is_known("prometheus"):
        _update()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        quiet = {"cwd": directory, "stderr": subprocess.DEVNULL, "check": False}
        subprocess.run(["apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", package], **quiet)
        for file in directory.glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", file, "root"], cwd=directory, check=True)
        yield directory / "root"


def _update():
    subprocess.run([*SUDO, "apt-get", "update", "-qq"], check=True)


def _is_known(package):
    return subprocess.run(["apt-cache", "show", package], capture_output=True, check=False).returncode == 0


def _is_there(command):
    return shutil.which(command, path=f"{os.environ['PATH']}:{SBIN}") is not None
