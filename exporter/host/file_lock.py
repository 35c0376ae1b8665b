"""Locks on files and directories that end with the process that holds them, however it ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from pathlib import Path

LOCKS = Path("/proc/locks")


class LockedError(Exception):
    """Another process holds the lock; the message names it as far as the kernel shows."""


def lock(descriptor: int) -> None:
    """Lock an open file or directory without waiting. Raise LockedError, OSError."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise LockedError(_holder(os.fstat(descriptor).st_ino)) from None


def _holder(inode: int) -> str:
    """Return who has locked a file, as far as /proc/locks shows."""
    with contextlib.suppress(OSError):
        for line in LOCKS.read_text("ascii").splitlines():
            found = re.search(rf" FLOCK .* (\d+) [0-9a-f]+:[0-9a-f]+:{inode} ", line)
            if found and found[1] != "0":
                return f"pid {found[1]}"
    return "in another PID namespace"
