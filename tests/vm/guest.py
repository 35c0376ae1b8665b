"""Boot a kernel in qemu over a read-only view of this machine's root directory, and run a command in it.

Guests are emulated (TCG): no hardware virtualization is needed, and arm64 runs on amd64. By hand: python -m
tests.vm.guest 6.1 'uname -a'
"""

import re
import shlex
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.vm.fetch import fetch
from tests.vm.initramfs import initramfs
from tests.vm.kernels import BY_NAME, Kernel
from tests.vm.user_space import CHECKOUT, prepare, root_of

MARK = "exit status of the guest: "
MACHINES = {
    "amd64": (["qemu-system-x86_64", "-M", "q35,memory-backend=memory", "-cpu", "max"], "ttyS0"),
    "arm64": (["qemu-system-aarch64", "-M", "virt,memory-backend=memory", "-cpu", "cortex-a57"], "ttyAMA0"),
}
# Debian 12 has it in qemu-system-common; later releases have a package of its own, with the same arguments.
VIRTIOFSD = ("/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd")
# Messages of the console that blame the emulator. Only after these a guest is booted a second time.
EMULATOR_FAILURES = {
    "the timer of a busy emulator was too late for the kernel": "IO-APIC + timer doesn't work",
}
LOGS = ("output", "console", "qemu.log", "virtiofsd.log")
SHOWN_LINES = 60


@dataclass(frozen=True)
class Machine:
    """A kernel on a machine: `append` goes to its command line, the shell runs `prepare` before the command."""

    kernel: Kernel
    cpus: int = 1
    append: str = ""
    prepare: str = "mount -t cgroup2 cgroup2 /sys/fs/cgroup"
    memory_mib: int = 768


@dataclass(frozen=True)
class Deadlines:
    """Bounds of a guest: it is ended after `seconds`, or after `silent_seconds` without output."""

    seconds: float = 3600
    silent_seconds: float = 420


USUAL = Deadlines()


@dataclass(frozen=True)
class Result:
    """The output of a command; `status` is None if the guest was ended early, and `output` then has the reason."""

    status: int | None
    output: str
    seconds: float


def boot(machine, command, deadlines=USUAL):
    """Run `command` in the directory of the checkout in a guest; repeat once if the emulator failed."""
    result = _boot(machine, command, deadlines)
    if result.status is None:
        for fault, words in EMULATOR_FAILURES.items():
            if words in result.output:
                print(f"booting {machine.kernel.name} once more: {fault}", file=sys.stderr, flush=True)
                return _boot(machine, command, deadlines)
    return result


def _boot(machine, command, deadlines):
    started = time.monotonic()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="exec_exporter-guest-")))
        (directory / "initrd").write_bytes(initramfs(machine.kernel, command, CHECKOUT, machine.prepare, MARK))
        share = stack.enter_context(_running(_sharing(root_of(machine.kernel.arch), directory), directory / LOGS[3]))
        reason = _wait(lambda: (directory / "socket").exists() or share.poll() is not None, directory, deadlines)
        if not reason:
            qemu = stack.enter_context(_running(_qemu(machine, directory), directory / LOGS[2]))
            reason = _wait(lambda: qemu.poll() is not None, directory, deadlines)
        output = _read(directory / "output")
        found = re.search(rf"\n{MARK}(\d+)\n", output)
        seconds = time.monotonic() - started
        if found:
            return Result(int(found[1]), output[: found.start()], seconds)
        said = [f"--- the last lines of {log}\n{_last_lines(directory / log)}" for log in LOGS]
        return Result(
            None, "\n".join([f"{machine.kernel.name}: {reason or 'the guest ended by itself'}", *said]), seconds
        )


def _wait(over, directory, deadlines):
    """Wait until `over()`; return the reason for giving up, or an empty string."""
    started = heard = time.monotonic()
    said = 0
    while not over():
        now = time.monotonic()
        size = sum((directory / log).stat().st_size for log in LOGS if (directory / log).exists())
        if size != said:
            said, heard = size, now
        if now - started > deadlines.seconds:
            return f"not finished after {deadlines.seconds:.0f} s"
        if now - heard > deadlines.silent_seconds:
            return f"has said nothing for {deadlines.silent_seconds:.0f} s"
        time.sleep(0.1)
    return ""


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
    """Run virtiofsd over a read-only view of `root` that contains the checkout, in a mount namespace of its own."""
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


def _read(path):
    return path.read_text("utf-8", "replace").replace("\r", "") if path.exists() else ""


def _last_lines(path):
    return "\n".join(_read(path).splitlines()[-SHOWN_LINES:])


def main():
    """Boot the kernel named by the first argument and run the command in the second."""
    kernel = BY_NAME[sys.argv[1]]
    fetch([kernel])
    prepare(kernel.arch)
    result = boot(Machine(kernel), sys.argv[2])
    print(result.output)
    sys.exit(1 if result.status is None else result.status)


if __name__ == "__main__":
    main()
