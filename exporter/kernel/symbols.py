"""Functions of the running kernel, from /proc/kallsyms."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path


class HookError(Exception):
    """A hook cannot be used on this kernel; the message says why."""


class Symbols:
    """The kernel's functions. The file, of 10 MB and more, is read once, when the first function is checked."""

    def __init__(self, kallsyms: Path = Path("/proc/kallsyms")) -> None:
        self._kallsyms = kallsyms

    @cached_property
    def _lines(self) -> bytes | None:
        try:
            return self._kallsyms.read_bytes()
        except PermissionError:  # as under systemd's ProtectKernelTunables=
            return None
        except OSError as error:
            raise HookError(f"cannot read {self._kallsyms} ({error.strerror})") from error

    def check(self, name: str) -> None:
        """Raise HookError if the kernel has no function of this name, or more than one.

        If the file cannot be read for lack of permission, every function passes: attaching or the canary fails instead.
        """
        if self._lines is None:
            return
        endings = [b" %c %s%c" % (kind, name.encode("ascii"), end) for kind in b"TtWw" for end in b"\n\t"]
        count = sum(self._lines.count(ending) for ending in endings)
        if count != 1:
            raise HookError(
                f"the kernel has {count or 'no'} functions {name}" if count else f"the kernel has no {name}"
            )
