"""Opens files below another root directory: symbolic links cannot lead out of it (openat2(2), Linux 5.6)."""

from __future__ import annotations

import ctypes
import errno
import os
import stat

from exporter.host import libc

SYS_OPENAT2 = 437  # on every architecture
RESOLVE_NO_MAGICLINKS, RESOLVE_IN_ROOT = 0x02, 0x10
FORBIDDEN = (errno.ENOSYS, errno.EPERM)
LINKS = 40  # followed at most, as by the kernel


class _OpenHow(ctypes.Structure):
    _fields_ = [("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64)]


def look_up(root: int, path: bytes) -> int:
    """Return a descriptor (O_PATH) of `path` below the directory `root`, without opening the file. Raise OSError."""
    how = _OpenHow(os.O_PATH | os.O_CLOEXEC, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)
    try:
        return libc.call("syscall", SYS_OPENAT2, root, path, ctypes.byref(how), ctypes.sizeof(how))
    except OSError as error:
        if error.errno in FORBIDDEN:
            return walk(root, path)
        error.filename = path
        raise


def walk(root: int, path: bytes) -> int:
    """Do the same, one name at a time; links of /proc are followed by their text. Raise OSError.

    Seccomp filters cannot see the flags of openat2(2), so some forbid it altogether: systemd's RestrictSUIDSGID= does.
    """
    names = path.split(b"/")[::-1]
    way = [os.dup(root)]  # directories from the root down: `..` returns to the last one, even if it has been moved
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
