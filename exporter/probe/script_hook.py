"""Chooses the earlier hook, by which scripts are known by their own file: the first that attaches and fires.

A hook can attach and never fire: a kprobe that is disarmed, a function that was inlined where it matters, tracing
that is switched off. So each is tried with an exec that comes as far as the hook and no farther.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

FUNCTION = "security_bprm_creds_for_exec"
LSM_FUNCTION = "bpf_lsm_bprm_creds_for_exec"
KINDS = ("fentry", "kprobe", "lsm")  # cheapest first; LSM needs "bpf" on the kernel's list of security modules
# No binfmt handler takes it, and as it prints the kernel looks for no module that would.
CANARY = b"canary of exec_exporter\n"

# What attaches a hook: it gives the descriptors that keep it attached, or raises HookError or OSError.
Attach = Callable[[], Sequence[int]]


class HookError(Exception):
    """Why a hook cannot be used here."""


@dataclass(frozen=True)
class Hook:
    """The hook that was chosen: its kind, empty if there is none, why others were not, and what keeps it attached."""

    kind: str = ""
    refused: tuple[str, ...] = ()
    links: Sequence[int] = ()

    def detach(self) -> None:
        """Closes the descriptors that keep it attached."""
        for link in self.links:
            os.close(link)


def choose(candidates: Iterable[tuple[str, Attach]], fires: Callable[[], bool]) -> Hook:
    """The first of the candidates, by kind, that attaches and then fires."""
    refused: list[str] = []
    for kind, attach in candidates:
        try:
            hook = Hook(kind, tuple(refused), attach())
        except OSError as error:
            refused.append(f"{kind}: {error.strerror}")
            continue
        except HookError as error:
            refused.append(f"{kind}: {error}")
            continue
        if fires():
            return hook
        hook.detach()
        refused.append(f"{kind}: attached and never fired")
    return Hook(refused=tuple(refused))


def attach_all(attaches: Iterable[Callable[[], int]]) -> list[int]:
    """The descriptors of all of them or, where one cannot be attached, none."""
    links: list[int] = []
    try:
        for attach in attaches:
            links.append(attach())
    except (OSError, HookError):
        Hook(links=links).detach()
        raise
    return links


def check_symbol(name: str, kallsyms: Path = Path("/proc/kallsyms")) -> None:
    """Raises HookError where the kernel has no function of that name, or more than one."""
    try:
        symbols = kallsyms.read_bytes()
    except PermissionError:  # as under ProtectKernelTunables= of systemd: attaching and the canary tell as well
        return
    except OSError as error:
        raise HookError(f"cannot read {kallsyms} ({error.strerror})") from error
    count = sum(symbols.count(b" %c %s%c" % (kind, name.encode("ascii"), end)) for kind in b"TtWw" for end in b"\n\t")
    if count != 1:
        raise HookError(f"the kernel has {count or 'no'} functions {name}" if count else f"the kernel has no {name}")


def canary() -> None:
    """Starts an exec that fails for its format, behind the hook. Raises HookError where even that is not possible."""
    with contextlib.ExitStack() as stack:
        for make in (_in_memory, _in_a_file):
            try:
                path = make(stack)
                pid = os.posix_spawn(path, ["canary"], {})
            except OSError as error:
                if error.errno == 8:  # ENOEXEC
                    return
                continue
            os.waitpid(pid, 0)
            return
    raise HookError("nothing can be executed here")


def _in_memory(stack: contextlib.ExitStack) -> str:
    # 6.3: 105ff5339f49 ("mm/memfd: add MFD_NOEXEC_SEAL and MFD_EXEC"): an older kernel refuses the flag
    for flags in (0x10, 0):
        with contextlib.suppress(OSError):
            descriptor = os.memfd_create("canary", flags)
            break
    else:
        raise PermissionError
    stack.callback(os.close, descriptor)
    os.write(descriptor, CANARY)
    return f"/proc/self/fd/{descriptor}"


def _in_a_file(stack: contextlib.ExitStack) -> str:
    path = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="exec_exporter-"))) / "canary"
    path.write_bytes(CANARY)
    path.chmod(0o700)
    return str(path)
