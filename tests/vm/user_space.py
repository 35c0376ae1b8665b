"""Root directories for guests: this machine's own, or one made of Debian's packages for another architecture."""

import subprocess
import sys
from pathlib import Path

from tests.vm.archive import KEYRING, mirrors
from tests.vm.kernels import CACHE, NATIVE, cache_to_itself

CHECKOUT = Path(__file__).resolve().parents[2]
VENV = Path("/opt/exec_exporter")
SUITE = "bookworm"
# fmt: off
PACKAGES = (
    "base-files", "base-passwd", "busybox-static", "coreutils", "dash", "diffutils", "findutils", "grep", "kmod",
    "libc-bin", "login", "mount", "procps", "sed", "util-linux", "iproute2", "python3", "python3-bcrypt",
    "python3-bpfcc", "python3-prometheus-client", "python3-psutil", "python3-pytest", "python3-pytest-timeout",
    "python3-tornado", "python3-yaml",
)
# fmt: on


def root_of(arch):
    """Return the path of the root directory."""
    return Path("/") if arch == NATIVE else CACHE / "roots" / arch


def python_of(arch):
    """Return the path of the Python that runs the tests there, as seen from inside."""
    return sys.executable if arch == NATIVE else str(VENV / "bin/python")


def prepare(arch):
    """Make the root directory for another architecture, once. Packages are only unpacked; nothing in it is run."""
    if arch == NATIVE:
        return
    root, contents = root_of(arch), " ".join((SUITE, *PACKAGES))
    complete = root / "complete"
    with cache_to_itself():
        if complete.exists() and complete.read_text() == contents:
            return
        _unpack(arch, root)
        _make_venv(root)
        _compile(root)
        complete.write_text(contents)


def _unpack(arch, root):
    root.parent.mkdir(parents=True, exist_ok=True)
    if root.exists():
        subprocess.run(["rm", "-rf", "--one-file-system", root], check=True)
    command = ["mmdebstrap", "--mode=root", "--variant=extract", f"--architectures={arch}", f"--keyring={KEYRING}"]
    command += ["--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr", f"--include={','.join(PACKAGES)}", "--quiet"]
    subprocess.run([*command, SUITE, root, mirrors()["debian"]], check=True, capture_output=True)
    for name in ("passwd", "group"):
        (root / "etc" / name).write_bytes((root / f"usr/share/base-passwd/{name}.master").read_bytes())


def _compile(root):
    """Copy bytecode, which is portable: if this machine has the same Python, a guest need not compile it again."""
    if (root / f"usr/bin/python{sys.version_info.major}.{sys.version_info.minor}").exists():
        where = [root / "usr/lib/python3/dist-packages", *(root / "usr/lib").glob("python3.*")]
        subprocess.run([sys.executable, "-m", "compileall", "-qq", "-s", root, *where], check=False)


def _make_venv(root):
    """Make the result of `python -m venv`, and the command, without running anything there."""
    version = next((root / "usr/bin").glob("python3.?*[0-9]")).name
    venv = root / VENV.relative_to("/")
    (venv / "bin").mkdir(parents=True)
    (venv / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = true\n")
    (venv / "bin/python").symlink_to(f"/usr/bin/{version}")
    command = venv / "bin/exec_exporter"
    command.write_text(f"#!{VENV}/bin/python\nfrom exporter.__main__ import main\n\nmain()\n")
    command.chmod(0o755)
