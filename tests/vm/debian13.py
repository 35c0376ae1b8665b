"""Debian 13's user space on this machine's kernel: python -m tests.vm.debian13 runs the README's two commands in it.

A root directory made of packages (Python 3.13, BCC 0.31), with a copy of the checkout in it. It is entered as
containers are, by pivot_root: programs are named from the root of the mount namespace, which chroot does not change.
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
# What a user has who has just installed Debian and fetched the sources; BCC and the rest are make's to install.
PACKAGES = ("ca-certificates", "git", "make", "python3")
CONFIGURATION = ("/etc/resolv.conf", "/etc/hosts", "/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt")
# Guests are this machine's to boot. What the kernel tier's probe can do goes into the table of kernels.
COMMANDS = """set -e
mkdir -p .cache
make run ARGS=--check
make test NEEDS='kernel image' ARGS='-p tests.vm.facts --facts=.cache/facts'
"""


def make_root():
    """Makes the root directory, once, and tells it how this machine reaches the network."""
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
    """A fresh clone, in which the files that git knows or would take in are as they are here."""
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
    """Runs shell commands in the copy, in a mount namespace that takes its mounts along; returns their status."""
    root = shlex.quote(str(ROOT))
    script = f"set -e; mount --bind {root} {root}\n"
    script += f"mount -t proc proc {root}/proc; for d in sys dev; do mount --rbind /$d {root}/$d; done\n"
    script += f"mount -t tmpfs tmpfs {root}/run; mount -t tmpfs tmpfs {root}/tmp\n"
    # the probes are the kernel's, not the root directory's: the same lock as outside
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
