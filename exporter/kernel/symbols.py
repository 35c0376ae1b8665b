"""Functions of the running kernel, from /proc/kallsyms."""

from __future__ import annotations

from pathlib import Path


class HookError(Exception):
    """Why a hook cannot be used here."""


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
