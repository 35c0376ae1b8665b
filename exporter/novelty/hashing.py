"""Digests of file contents, limited in size and rate."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import logging
import os
import struct
import sys
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

log = logging.getLogger(__name__)

CHUNK = 1 << 20
ATTEMPTS = 3  # for a running program: nobody can write to it, but its names and permissions may change meanwhile
FS_IOC_GETVERSION = 2 << 30 | struct.calcsize("l") << 16 | ord("v") << 8 | 1  # linux/fs.h


class Throttle:
    """Limit reading to a rate, after a burst of four seconds' worth.

    `sleep` is called before each chunk, also for 0 seconds: an exception of it ends the reading.
    """

    BURST_SECONDS = 4.0

    def __init__(
        self,
        bytes_per_second: int = 64 << 20,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rate, self._clock, self._sleep = bytes_per_second, clock, sleep
        self._paid_until = clock() - self.BURST_SECONDS

    def take(self, count: int) -> None:
        """Wait until `count` bytes may be read. Raise what `sleep` raises."""
        now = self._clock()
        self._paid_until = max(self._paid_until, now - self.BURST_SECONDS) + count / self._rate
        self._sleep(max(0.0, self._paid_until - now))


class Digests(NamedTuple):
    """SHA-256 and MD5 of a file; None where unknown or not wanted."""

    sha256: bytes | None = None
    md5: bytes | None = None


class Hasher:
    """Hash files of at most `file_bytes`, at the rate of the throttle, which may end it. One thread at a time."""

    def __init__(self, file_bytes: int = 256 << 20, throttle: Throttle | None = None) -> None:
        self._file_bytes, self._throttle = file_bytes, throttle or Throttle()

    def digests(
        self, descriptor: int, status: os.stat_result, generation: int | None, *, runs: bool, md5: bool
    ) -> Digests:
        """Return SHA-256 and, if wanted, MD5 of the file of an O_PATH descriptor.

        Both are None if the file is too large, cannot be read, has changed since `status` or is of another inode
        generation. Names and permissions of a program that `runs` may change.
        """
        if status.st_size > self._file_bytes:
            return Digests()
        try:
            file = os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return Digests()
        try:
            if _is_of_generation(file, generation):
                return self._unchanged(file, status, ATTEMPTS if runs else 1, md5)
        except OSError as error:
            log.debug("reading a program fails: %s", error)
        finally:
            os.close(file)
        return Digests()

    def _unchanged(self, file: int, status: os.stat_result, attempts: int, md5: bool) -> Digests:
        """Hash the file until it is the same after reading as before. Raise OSError."""
        for _ in range(attempts):
            sha256, md5_hash = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
            self._read(file, status.st_size, (sha256, md5_hash) if md5 else (sha256,))
            before, status = status, os.fstat(file)
            if (before.st_ctime_ns, before.st_size) == (status.st_ctime_ns, status.st_size):
                return Digests(sha256.digest(), md5_hash.digest() if md5 else None)
        return Digests()

    def _read(self, file: int, size: int, hashes: Iterable[hashlib._Hash]) -> None:
        """Hash the first `size` bytes of a file. Raise OSError, also if it has fewer."""
        at = 0
        while at < size:
            self._throttle.take(min(size - at, CHUNK))
            chunk = os.pread(file, min(size - at, CHUNK), at)
            if not chunk:
                raise OSError(errno.ENODATA, os.strerror(errno.ENODATA))
            at += len(chunk)
            for each in hashes:
                each.update(chunk)


def _is_of_generation(file: int, wanted: int | None) -> bool:
    """Return false if the inode number was reused for a file made in the same clock tick.

    stat(2) does not show the generation; overlays and filesystems without generations refuse the ioctl.
    """
    if wanted is None:
        return True
    try:
        generation = fcntl.ioctl(file, FS_IOC_GETVERSION, bytes(struct.calcsize("l")))
    except OSError:
        return True
    return int.from_bytes(generation[:4], sys.byteorder) == wanted
