"""Boots a kernel in qemu, over a root directory of this machine that it can read and not change, and runs a command.

Emulated (TCG): a guest needs no hardware virtualisation, and arm64 runs on amd64.
"""

import re
import shlex
import subprocess
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.vm.initramfs import initramfs
from tests.vm.kernels import Kernel
from tests.vm.user_space import CHECKOUT, preparation, root_of

MARK = "exit status of the guest: "
MACHINES = {
    "amd64": (["qemu-system-x86_64", "-M", "q35,memory-backend=memory", "-cpu", "max"], "ttyS0"),
    "arm64": (["qemu-system-aarch64", "-M", "virt,memory-backend=memory", "-cpu", "cortex-a57"], "ttyAMA0"),
}
# Debian 12 has it in qemu-system-common; later it is a package of its own, and takes the same arguments.
VIRTIOFSD = ("/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd")


@dataclass(frozen=True)
class Machine:
    """A kernel on a machine: `append` goes to its command line, the shell runs `prepare` before the command."""

    kernel: Kernel
    cpus: int = 1
    append: str = ""
    prepare: str = "mount -t cgroup2 cgroup2 /sys/fs/cgroup"
    memory_mib: int = 768


@dataclass(frozen=True)
class Result:
    """What the command said; `status` is None if the guest did not come to its end, and `output` then has why."""

    status: int | None
    output: str
    seconds: float


def boot(machine, command, timeout_seconds):
    """Runs `command` in the checkout's directory in a guest."""
    started = time.monotonic()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="exec_exporter-guest-")))
        prepare = f"{machine.prepare}\n{preparation(machine.kernel.arch)}"
        initrd = initramfs(machine.kernel, command, CHECKOUT, prepare, MARK)
        (directory / "initrd").write_bytes(initrd)
        root = root_of(machine.kernel.arch)
        stack.enter_context(_running(_sharing(root, directory), directory / "virtiofsd.log"))
        _wait_for(directory / "socket", timeout_seconds)
        with _running(_qemu(machine, directory), directory / "qemu.log") as qemu:
            try:
                qemu.wait(timeout_seconds)
                reason = ""
            except subprocess.TimeoutExpired:
                reason = f"not finished after {timeout_seconds:.0f} s\n"
        output = _read(directory / "output")
        found = re.search(rf"\n{MARK}(\d+)\n", output)
        seconds = time.monotonic() - started
        if found:
            return Result(int(found[1]), output[: found.start()], seconds)
        logs = ("output", "console", "qemu.log", "virtiofsd.log")
        shown = "\n".join(f"--- {log}\n{_read(directory / log)[-4000:]}" for log in logs)
        return Result(None, reason + shown, seconds)


def _qemu(machine, directory):
    command, console = MACHINES[machine.kernel.arch]
    memory = f"{machine.memory_mib}M"
    line = f"console={console} quiet panic=-1 mitigations=off no_timer_check {machine.append}"
    return [
        *command,
        *("-accel", "tcg", "-smp", f"{machine.cpus}", "-m", memory, "-no-reboot"),
        *("-object", f"memory-backend-memfd,id=memory,size={memory},share=on"),
        *("-nodefaults", "-no-user-config", "-display", "none", "-serial", f"file:{directory}/console"),
        *("-device", "virtio-serial-pci", "-device", "virtconsole,chardev=output"),
        *("-chardev", f"file,id=output,path={directory}/output"),
        *("-device", "vhost-user-fs-pci,chardev=root,tag=root", "-chardev", f"socket,id=root,path={directory}/socket"),
        *("-device", "virtio-rng-pci"),
        *("-kernel", str(machine.kernel.directory / "vmlinuz"), "-initrd", f"{directory}/initrd", "-append", line),
    ]


def _sharing(root, directory):
    """virtiofsd over a read-only view of `root` with the checkout in its place, in a mount namespace of its own."""
    view = directory / "root"
    view.mkdir()
    if root != Path("/"):
        (root / CHECKOUT.relative_to("/")).mkdir(parents=True, exist_ok=True)
    daemon = next((path for path in VIRTIOFSD if Path(path).exists()), VIRTIOFSD[0])
    checkout = shlex.quote(str(CHECKOUT))
    script = f"""set -e
mount --bind {shlex.quote(str(root))} {view}
mount -o remount,bind,ro {view}
mount --bind {checkout} {view}{checkout}
mount -o remount,bind,ro {view}{checkout}
exec {daemon} --socket-path={directory}/socket -o source={view} -o cache=always -o sandbox=chroot -f
"""
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script]


@contextmanager
def _running(command, log):
    with log.open("w") as file:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_for(path, timeout_seconds):
    end = time.monotonic() + timeout_seconds
    while not path.exists():
        if time.monotonic() > end:
            raise TimeoutError(f"{path} does not appear: {_read(path.parent / 'virtiofsd.log')}")
        time.sleep(0.02)


def _read(path):
    return path.read_text("utf-8", "replace").replace("\r", "") if path.exists() else ""
