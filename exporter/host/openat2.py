"""Opens files as another root directory has them: symbolic links end up inside of it (openat2(2), Linux 5.6)."""

from __future__ import annotations

import ctypes
import errno
import os
import stat

SYS_OPENAT2 = 437  # on every architecture
RESOLVE_NO_MAGICLINKS, RESOLVE_IN_ROOT = 0x02, 0x10
FORBIDDEN = (errno.ENOSYS, errno.EPERM)
LINKS = 40  # followed at most, as by the kernel

_libc = ctypes.CDLL(None, use_errno=True)


class _OpenHow(ctypes.Structure):
    _fields_ = [("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64)]


def look_up(root: int, path: bytes) -> int:
    """A descriptor (O_PATH) of what `path` is below the directory `root`. Nothing is opened. Raises OSError."""
    how = _OpenHow(os.O_PATH | os.O_CLOEXEC, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)
    found = int(_libc.syscall(SYS_OPENAT2, root, path, ctypes.byref(how), ctypes.sizeof(how)))
    if found < 0:
        number = ctypes.get_errno()
        if number in FORBIDDEN:
            return walk(root, path)
        raise OSError(number, os.strerror(number), path)
    return found


def walk(root: int, path: bytes) -> int:
    """The same, one name at a time. The links of /proc lead where their text says. Raises OSError.

    Seccomp filters cannot see the flags of openat2(2), so some forbid all of it: systemd's RestrictSUIDSGID= does.
    """
    names = path.split(b"/")[::-1]
    way = [os.dup(root)]  # directories from the root down: `..` goes back to where it came from, whoever moves them
    links = 0
    try:
        while names:
            name = names.pop()
            if name in (b"", b".", b".."):
                os.close(os.open(b".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=way[-1]))
                if name == b".." and len(way) > 1:
                    os.close(way.pop())
                continue
            way.append(os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=way[-1]))
            if not stat.S_ISLNK(os.fstat(way[-1]).st_mode):
                continue
            links += 1
            if links > LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            target = os.readlink(b"", dir_fd=way[-1])
            keep = 1 if target.startswith(b"/") else len(way) - 1
            while len(way) > keep:
                os.close(way.pop())
            names += target.split(b"/")[::-1]
        return os.dup(way[-1])
    finally:
        for descriptor in way:
            os.close(descriptor)
