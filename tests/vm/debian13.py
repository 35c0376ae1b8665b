"""Run the two commands of the README in Debian 13's user space on this kernel: python -m tests.vm.debian13.

The root directory is made of packages (Python 3.13, BCC 0.31) and contains a copy of the checkout. It is entered with
pivot_root, as containers are: the probe names programs from the root of the mount namespace, which chroot does not
change.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from tests.alone import LOCK
from tests.vm.archive import KEYRING, mirrors
from tests.vm.kernels import CACHE
from tests.vm.support import DEBIAN_13, Support
from tests.vm.user_space import CHECKOUT

ROOT = CACHE / "roots" / "debian13"
COPY = ROOT / "src"
# The packages of a user who has just installed Debian and fetched the sources; `make` installs BCC and the rest.
PACKAGES = ("ca-certificates", "git", "make", "python3")
CONFIGURATION = ("/etc/resolv.conf", "/etc/hosts", "/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt")
# Without guests, which are booted from outside. The facts of the kernel tier's probe go into the table of kernels.
COMMANDS = """set -e
mkdir -p .cache
make run ARGS=--check
make test NEEDS='kernel image' ARGS='-p tests.vm.facts --facts=.cache/facts'
"""


def make_root():
    """Make the root directory, once, with the network settings of this machine."""
    complete, contents = ROOT / "complete", " ".join(PACKAGES)
    if not complete.exists() or complete.read_text("utf-8") != contents:
        ROOT.parent.mkdir(parents=True, exist_ok=True)
        if ROOT.exists():
            subprocess.run(["rm", "-rf", "--one-file-system", ROOT], check=True)
        command = ["mmdebstrap", "--mode=root", "--variant=minbase", f"--keyring={KEYRING}", "--quiet"]
        found = mirrors()
        sources = [f"deb {found['debian']} trixie main"]
        subprocess.run([*command, f"--include={','.join(PACKAGES)}", "trixie", ROOT, *sources], check=True)
        complete.write_text(contents, "utf-8")
    for name in CONFIGURATION:
        if Path(name).exists():
            inside = ROOT / name.lstrip("/")
            inside.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(name, inside)


def copy_checkout():
    """Make a fresh clone whose files, tracked or untracked but not ignored, are those of the checkout."""
    shutil.rmtree(COPY, ignore_errors=True)
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", CHECKOUT, COPY], check=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT, capture_output=True, check=True,
    )  # fmt: skip
    for name in filter(None, os.fsdecode(listed.stdout).split("\0")):
        (COPY / name).unlink(missing_ok=True)
        if (CHECKOUT / name).is_symlink() or (CHECKOUT / name).exists():
            (COPY / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(CHECKOUT / name, COPY / name, follow_symlinks=False)


def enter(commands):
    """Run shell commands in the copy, in a mount namespace of their own; return their status."""
    root = shlex.quote(str(ROOT))
    script = f"set -e; mount --bind {root} {root}\n"
    script += f"mount -t proc proc {root}/proc; for d in sys dev; do mount --rbind /$d {root}/$d; done\n"
    script += f"mount -t tmpfs tmpfs {root}/run; mount -t tmpfs tmpfs {root}/tmp\n"
    # the lock of outside: all probes are in the same kernel
    script += f"touch {LOCK} {root}{LOCK}; mount --bind {LOCK} {root}{LOCK}\n"
    wheels = os.environ.get("PIP_FIND_LINKS", "")
    if Path(wheels).is_dir() and wheels:
        script += f"mkdir -p {root}{wheels}; mount --bind {wheels} {root}{wheels}\n"
    script += f"cd {root}; pivot_root . .; umount -l .; cd /src\n"
    script += f"exec sh -c {shlex.quote(commands)}"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("VIRTUAL_ENV", "MAKE"))}
    environment.update(HOME="/root", PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script]
    return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    make_root()
    support = Support()
    support.forget(DEBIAN_13.name)
    copy_checkout()
    status = enter(COMMANDS)
    if status == 0:
        support.keep(DEBIAN_13.name, json.loads((COPY / ".cache/facts").read_text("utf-8")))
        support.publish()
    sys.exit(status)
