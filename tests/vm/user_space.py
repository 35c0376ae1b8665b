"""The root directories that guests run on: this machine's own, or made of Debian's packages for another port."""

import subprocess
import sys
from pathlib import Path

from tests.vm.archive import KEYRING, mirrors
from tests.vm.kernels import CACHE, NATIVE

CHECKOUT = Path(__file__).resolve().parents[2]
VENV = Path("/opt/exec_exporter")
SUITE = "bookworm"
# fmt: off
PACKAGES = (
    "base-files", "base-passwd", "busybox-static", "coreutils", "dash", "diffutils", "findutils", "grep", "kmod",
    "libc-bin", "login", "mount", "procps", "sed", "util-linux", "iproute2", "prometheus", "python3",
    "python3-bpfcc", "python3-hypothesis", "python3-prometheus-client", "python3-psutil", "python3-pytest",
    "python3-pytest-timeout",
)
# fmt: on


def root_of(arch):
    """Where the root directory lies."""
    return Path("/") if arch == NATIVE else CACHE / "roots" / arch


def python_of(arch):
    """The Python that runs the tests there, as seen from inside."""
    return sys.executable if arch == NATIVE else str(VENV / "bin/python")


def prepare(arch):
    """Makes the root directory for another port, once. Nothing in it is run: packages are only unpacked."""
    root = root_of(arch)
    if (root / "complete").exists():
        return
    root.parent.mkdir(parents=True, exist_ok=True)
    if root.exists():
        subprocess.run(["rm", "-rf", "--one-file-system", root], check=True)
    command = ["mmdebstrap", "--mode=root", "--variant=extract", f"--architectures={arch}", f"--keyring={KEYRING}"]
    command += ["--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr", f"--include={','.join(PACKAGES)}", "--quiet"]
    subprocess.run([*command, SUITE, root, mirrors()["debian"]], check=True, capture_output=True)
    for name in ("passwd", "group"):
        (root / "etc" / name).write_bytes((root / f"usr/share/base-passwd/{name}.master").read_bytes())
    _make_venv(root)
    (root / "complete").touch()


def _make_venv(root):
    """What `python -m venv` and an editable install would make, had they been run there."""
    version = next((root / "usr/bin").glob("python3.?*[0-9]")).name
    venv = root / VENV.relative_to("/")
    site = venv / "lib" / version / "site-packages"
    site.mkdir(parents=True)
    (venv / "bin").mkdir()
    (venv / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = true\n")
    (venv / "bin/python").symlink_to(f"/usr/bin/{version}")
    (site / "exec_exporter.pth").write_text(f"{CHECKOUT}\n")
    command = venv / "bin/exec_exporter"
    command.write_text(f"#!{VENV}/bin/python\nfrom exporter.__main__ import main\n\nmain()\n")
    command.chmod(0o755)


def preparation(arch):
    """Shell commands by which a guest of another port gets what the checkout has for this one only."""
    if arch == NATIVE:
        return ""
    return f"mount --bind /usr/bin/promtool {CHECKOUT}/.cache/promtool"
