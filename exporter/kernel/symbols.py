"""Functions of the running kernel, from /proc/kallsyms."""

from __future__ import annotations

from pathlib import Path


class HookError(Exception):
    """A hook cannot be used on this kernel; the message says why."""


def check_symbol(name: str, kallsyms: Path = Path("/proc/kallsyms")) -> None:
    """Raise HookError if the kernel has no function of this name, or more than one."""
    try:
        symbols = kallsyms.read_bytes()
    except PermissionError:  # as under systemd's ProtectKernelTunables=; attaching or the canary fails instead
        return
    except OSError as error:
        raise HookError(f"cannot read {kallsyms} ({error.strerror})") from error
    count = sum(symbols.count(b" %c %s%c" % (kind, name.encode("ascii"), end)) for kind in b"TtWw" for end in b"\n\t")
    if count != 1:
        raise HookError(f"the kernel has {count or 'no'} functions {name}" if count else f"the kernel has no {name}")
