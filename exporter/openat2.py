"""Opens files as another root directory has them: symbolic links end up inside of it (openat2(2), Linux 5.6)."""

from __future__ import annotations

import ctypes
import os

SYS_OPENAT2 = 437  # on every architecture
RESOLVE_NO_MAGICLINKS, RESOLVE_IN_ROOT = 0x02, 0x10

_libc = ctypes.CDLL(None, use_errno=True)


class _OpenHow(ctypes.Structure):
    _fields_ = [("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64)]


def look_up(root: int, path: bytes) -> int:
    """A descriptor (O_PATH) of what `path` is below the directory `root`. Nothing is opened. Raises OSError."""
    how = _OpenHow(os.O_PATH | os.O_CLOEXEC, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)
    found = int(_libc.syscall(SYS_OPENAT2, root, path, ctypes.byref(how), ctypes.sizeof(how)))
    if found < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
    return found
