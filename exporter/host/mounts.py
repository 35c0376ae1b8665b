"""Where filesystems are mounted, from /proc/<pid>/mountinfo (proc_pid_mountinfo(5))."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

MAX_BYTES = 4 << 20  # a user can mount very often in a namespace of his own
CHUNK = 1 << 16
_OCTAL = re.compile(rb"\\([0-7]{3})")


def names_of(directory: int, device: tuple[int, int], path: bytes) -> Iterator[bytes]:
    """Yield the names of a file below the root directory of a process, one for each mount that shows it.

    `directory` is the process's in /proc, `path` leads to the file from the root of the filesystem. Raise OSError.
    """
    wanted = b"%d:%d" % device
    for line in _read(directory).split(b"\n"):
        fields = line.split(b" ", 5)
        if len(fields) < 6 or fields[2] != wanted:
            continue
        root, mount_point = (_OCTAL.sub(lambda found: bytes([int(found[1], 8) & 0xFF]), field) for field in fields[3:5])
        below = root.rstrip(b"/") + b"/"
        if (b"/" + path).startswith(below):
            yield mount_point + b"/" + (b"/" + path)[len(below) :]


def _read(directory: int) -> bytes:
    """Return the first MAX_BYTES of a process's mountinfo. Raise OSError."""
    file = os.open("mountinfo", os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
    try:
        found = bytearray()
        while len(found) < MAX_BYTES and (chunk := os.read(file, CHUNK)):
            found += chunk
        return bytes(found)
    finally:
        os.close(file)
