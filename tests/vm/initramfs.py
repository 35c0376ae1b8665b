"""The initramfs of a guest: mounts the root directory of this machine over virtiofs, and runs one command in it."""

import shlex
import subprocess
from pathlib import Path

from tests.vm.image import decompress
from tests.vm.user_space import root_of

DRIVERS = ("virtio_pci", "virtio_console", "virtiofs", "overlay")
FOR_TESTS = ("binfmt_misc", "loop")  # where the kernel has them as modules

# The root directory is read-only; the guest mounts tmpfs over parts of it. The checkout may be below /tmp.
INIT = r"""#!/bin/busybox sh
B=/bin/busybox
$B mkdir -p /proc /sys /new
$B mount -t proc proc /proc; $B mount -t sysfs sysfs /sys; $B mount -t devtmpfs dev /dev
while read m; do $B insmod /modules/$m; done </modules/order
$B mount -t virtiofs -o ro root /new || $B reboot -f
for d in dev proc sys; do $B mount -o move /$d /new/$d; done
$B mkdir -p /new/dev/shm /new/dev/pts
$B mkdir /checkout; $B mount -o bind /new{directory} /checkout
for d in run tmp dev/shm; do $B mount -t tmpfs tmpfs /new/$d; done
$B mkdir -p /new{directory}; $B mount -o move /checkout /new{directory}
$B mkdir -p /new/run/lock; $B ln -s /proc/self/fd /new/dev/fd
$B mount -t devpts devpts /new/dev/pts; $B mount -t bpf bpf /new/sys/fs/bpf
$B mount -t tracefs tracefs /new/sys/kernel/tracing; $B mount -t debugfs debugfs /new/sys/kernel/debug
$B mount -t securityfs securityfs /new/sys/kernel/security
$B ip link set lo up; $B cp /command /new/run/command
exec $B switch_root /new /bin/sh /run/command
"""

COMMAND = r"""export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8
export PYTHONPATH={directory} PYTHONDONTWRITEBYTECODE=1 PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 EMULATED=1
{prepare}
cd {directory}
( {command}
) >/dev/hvc0 2>&1 </dev/null
printf '\n{mark}%d\n' $? >/dev/hvc0
sync; echo b >/proc/sysrq-trigger; sleep 60
"""


def initramfs(kernel, command, directory, prepare, mark):
    """Return an archive that boots `kernel` and runs `command` in `directory`, after the shell commands `prepare`."""
    modules = _modules(kernel)
    text = COMMAND.format(prepare=prepare, directory=shlex.quote(str(directory)), command=command, mark=mark)
    files = [(name, 0o40755, b"", (0, 0)) for name in ("bin", "dev", "modules")]
    files += [
        ("dev/console", 0o20600, b"", (5, 1)),
        ("bin/busybox", 0o100755, (root_of(kernel.arch) / "bin/busybox").read_bytes(), (0, 0)),
        ("init", 0o100755, INIT.replace("{directory}", shlex.quote(str(directory))).encode(), (0, 0)),
        ("command", 0o100644, text.encode(), (0, 0)),
        ("modules/order", 0o100644, "".join(f"{path.name}\n" for path in modules).encode(), (0, 0)),
    ]
    files += [(f"modules/{path.name}", 0o100644, decompress(path.read_bytes()), (0, 0)) for path in modules]
    return cpio(files)


def _modules(kernel):
    """Return the modules that the drivers need, in the order of loading, without those that are built in."""
    found = {}
    for driver in DRIVERS + FOR_TESTS:
        command = ["modprobe", "-d", kernel.directory, "-S", kernel.release, "--show-depends", driver]
        environment = {"PATH": "/usr/sbin:/sbin:/usr/bin:/bin"}
        shown = subprocess.run(command, capture_output=True, text=True, check=driver in DRIVERS, env=environment)
        for line in shown.stdout.splitlines():
            kind, _, path = line.partition(" ")
            if kind == "insmod":
                found[Path(path.split()[0])] = None
    return list(found)


def cpio(files):
    """Return a cpio of (name, mode, content, device): Documentation/driver-api/early-userspace/buffer-format.rst."""
    archive = bytearray()
    for number, (name, mode, content, device) in enumerate([*files, ("TRAILER!!!", 0, b"", (0, 0))], 1):
        encoded = name.encode() + b"\0"
        fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(encoded), 0)
        for part in (b"070701" + b"".join(b"%08X" % field for field in fields) + encoded, content):
            archive += part
            archive += bytes(-len(archive) % 4)
    return bytes(archive)
