"""Finds the file of a executed again, sure that it is the same one, and reads what it contains."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import logging
import os
import re
import stat
import struct
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

from exporter.events.decode import Identity
from exporter.host import procfs
from exporter.host.openat2 import look_up
from exporter.host.packages import Packages, PackageVerdict
from exporter.host.procfs import Process
from exporter.novelty.executed_file import ExecutedFile, FileFacts, renamed
from exporter.novelty.hashing import Limits, Throttle

log = logging.getLogger(__name__)

CHUNK = 1 << 20
ATTEMPTS = 3  # to read what runs: nobody writes to it, but its names and permissions may change meanwhile
DESCRIPTOR = re.compile(rb"/dev/fd/([0-9]+)")
WORLD_WRITABLE = 0o002
FS_IOC_GETVERSION = 2 << 30 | struct.calcsize("l") << 16 | ord("v") << 8 | 1  # linux/fs.h
PROCESS, PARENT, HOST = "process", "parent", "host"
DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
UP = "/.." * 64  # out of a chroot, to the root of the mount namespace, and no further


@dataclass(frozen=True)
class Content:
    """What a executed's file is. `digest` is its SHA-256, None if it could not be had.

    `executed` is the one that was asked for, or, of a script as invoked, the one that was found. `named_in` says in
    which root directories its name led to it: if in the host's, the packages there can speak for it. `unlinked`: it had
    no name left when it was looked at.
    """

    executed: ExecutedFile
    digest: bytes | None = None
    size: int | None = None
    package: PackageVerdict | None = None
    named_in: frozenset[str] = frozenset()
    unlinked: bool = False
    writable_directory: bool = False


class Reader:
    """Reads files of files, in the root directories of their processes and in `rootfs`. One caller at a time.

    With `limits` None nothing is read, only looked at: every content is unknown.
    """

    def __init__(
        self, rootfs: str, limits: Limits | None, packages: Packages, throttle: Throttle | None = None
    ) -> None:
        self._rootfs, self._limits, self._packages = os.fsencode(rootfs), limits, packages
        self._throttle = throttle or (Throttle(limits.bytes_per_second) if limits else None)

    def packages(self) -> set[str]:
        """The names of the packages of this host."""
        return self._packages.installed()

    @property
    def reads(self) -> bool:
        """Whether contents are read at all."""
        return self._limits is not None

    def look(self, executed: ExecutedFile, is_known: Callable[[Identity], bool]) -> Content:
        """What the executed's file is, as far as it can be known now. What `is_known` is not read."""
        if executed.facts and is_known(executed.identity):
            return Content(executed)
        with self.opened(executed) as found:
            if found is None:
                return Content(executed, size=executed.facts.size if executed.facts else None)
            descriptor, status, executed, runs = found
            if is_known(executed.identity):
                return Content(executed, named_in=frozenset({HOST}) & self._names(executed, status)[0])
            named_in, writable = self._names(executed, status)
            owner = self._packages.owner(executed.name) if HOST in named_in and executed.name else None
            digest, md5 = self._digests(descriptor, status, executed, runs, bool(owner and owner.needs_md5))
            return Content(
                executed=executed,
                digest=digest,
                size=status.st_size,
                package=owner.explain(digest, md5) if owner else None,
                named_in=named_in,
                writable_directory=writable,
                unlinked=not status.st_nlink,
            )

    def is_gone(self, content: Content) -> bool:
        """Whether the file's name has been removed from its directory since it was executed."""
        if content.unlinked:
            return True
        name = content.executed.name
        if name is None:
            return False
        for place, root in self._roots(content.executed):
            if place in content.named_in:
                try:
                    os.close(look_up(root, name))
                except OSError as error:
                    return error.errno in (errno.ENOENT, errno.ENOTDIR)
        return False

    @contextmanager
    def opened(self, executed: ExecutedFile) -> Iterator[tuple[int, os.stat_result, ExecutedFile, bool] | None]:
        """Yield an O_PATH descriptor of the file, its status, the file as it was found, and whether it runs."""
        with ExitStack() as stack:
            for descriptor, runs in self._candidates(executed):
                stack.callback(os.close, descriptor)
                status = os.fstat(descriptor)
                found = _matching(executed, descriptor, status, runs)
                if found:
                    yield descriptor, status, found, runs
                    return
            yield None

    def _candidates(self, executed: ExecutedFile) -> Iterator[tuple[int, bool]]:
        """Descriptors of what may be the file, and whether it is what the process runs: the caller closes them."""
        link = _link(executed)
        if link:
            with procfs.directory(executed.process) as directory:
                if directory is not None:
                    with suppress(OSError):
                        yield os.open(link, os.O_PATH | os.O_CLOEXEC, dir_fd=directory), executed.runs
        if executed.name:
            for _, root in self._roots(executed):
                with suppress(OSError):
                    yield look_up(root, executed.name), False

    def _roots(self, executed: ExecutedFile) -> Iterator[tuple[str, int]]:
        """Root directories in which the executed's name may be, and what each is called.

        Its process's, and that of its mount namespace, while it lives; likewise its parent's; the host's.
        """
        own = executed.process
        for name, one in ((PROCESS, own), (PARENT, Process(own.parent))):
            with procfs.directory(one) as directory:
                if directory is not None:
                    for place, path in ((name, "root"), (f"{name} namespace", "root" + UP)):
                        with suppress(OSError), _closing(os.open(path, DIRECTORY, dir_fd=directory)) as root:
                            if one is own or executed.facts or _has_interpreter(executed, root):
                                yield place, root
        with suppress(OSError), _closing(os.open(self._rootfs, DIRECTORY)) as root:
            if executed.facts or _has_interpreter(executed, root):
                yield HOST, root

    def _names(self, executed: ExecutedFile, status: os.stat_result) -> tuple[frozenset[str], bool]:
        """In which of the roots the name leads to the file, and whether everybody may write to its directory there."""
        places, writable = set(), False
        if executed.name is None or executed.memfd or not status.st_nlink:
            return frozenset(), False
        for place, root in self._roots(executed):
            with suppress(OSError):
                with _closing(look_up(root, executed.name)) as there:
                    if not os.path.samestat(os.fstat(there), status):
                        continue
                places.add(place)
                with _closing(look_up(root, executed.name.rpartition(b"/")[0] or b"/")) as parent:
                    writable = writable or bool(os.fstat(parent).st_mode & WORLD_WRITABLE)
        return frozenset(places), writable

    def _digests(
        self, descriptor: int, status: os.stat_result, executed: ExecutedFile, runs: bool, md5: bool
    ) -> tuple[bytes | None, bytes | None]:
        """SHA-256 and, if asked for, MD5; None where the file is too large, cannot be read or changes meanwhile."""
        if self._limits is None or status.st_size > self._limits.file_bytes:
            return None, None
        try:
            file = os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return None, None
        try:
            if not _is_of_generation(file, executed):
                return None, None
            for _ in range(ATTEMPTS if runs else 1):
                sha256 = hashlib.sha256()
                md5_hash = hashlib.md5(usedforsecurity=False) if md5 else None
                self._read(file, status.st_size, [one for one in (sha256, md5_hash) if one])
                before, status = status, os.fstat(file)
                if (before.st_ctime_ns, before.st_size) == (status.st_ctime_ns, status.st_size):
                    return sha256.digest(), md5_hash.digest() if md5_hash else None
        except OSError as error:
            log.debug("reading a program fails: %s", error)
        finally:
            os.close(file)
        return None, None

    def _read(self, file: int, size: int, hashes: Iterable[hashlib._Hash]) -> None:
        """Hashes so many bytes from the beginning of a file. Raises OSError; also if it has fewer."""
        at = 0
        while at < size:
            if self._throttle:
                self._throttle.take(min(size - at, CHUNK))
            chunk = os.pread(file, min(size - at, CHUNK), at)
            if not chunk:
                raise OSError(errno.ENODATA, os.strerror(errno.ENODATA))
            at += len(chunk)
            for one in hashes:
                one.update(chunk)


@contextmanager
def _closing(descriptor: int) -> Iterator[int]:
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _has_interpreter(executed: ExecutedFile, root: int) -> bool:
    """Whether a script as invoked, whose process is gone, was one of this root: its interpreter is."""
    if executed.interpreter_file is None:
        return False
    name, facts = executed.interpreter_file
    try:
        with _closing(look_up(root, name)) as there:
            return is_same(facts, os.fstat(there))
    except OSError:
        return False


def _link(executed: ExecutedFile) -> str | None:
    """The link in /proc/<pid> that leads to the file itself, whatever has become of its name."""
    if executed.runs:
        return "exe"
    invoked = DESCRIPTOR.fullmatch(executed.name or b"") if executed.script and not executed.facts else None
    return f"fd/{int(invoked[1])}" if invoked else None


def _matching(executed: ExecutedFile, descriptor: int, status: os.stat_result, runs: bool) -> ExecutedFile | None:
    """The executed, if this is its file. What was known only as invoked gets the name and identity that it has."""
    if not stat.S_ISREG(status.st_mode):
        return None
    if executed.facts:
        return executed if is_same(executed.facts, status, runs) else None
    if executed.process.time and _changed_since(status, executed.process.time):
        return None
    name = os.readlink(b"/proc/self/fd/%d" % descriptor)  # noqa: PTH115 - bytes
    if not name.startswith(b"/memfd:"):
        name = name.removesuffix(b" (deleted)") if not status.st_nlink else name
    path_hash = int.from_bytes(hashlib.sha256(name).digest()[:8], "big")
    identity = Identity(status.st_ino, _device(status), 0, status.st_ctime_ns, path_hash)
    return renamed(executed, name, identity, status.st_size, status.st_mode)


def is_same(facts: FileFacts, status: os.stat_result, runs: bool = False) -> bool:
    """Whether a file is the one that was executed, with the content that it had then.

    What `runs` cannot be written to: its change time tells only of its names and permissions.
    Filesystems without a device of their own (overlay, btrfs) may show the kernel and stat(2) different numbers.
    """
    device = _device(status)
    return (
        facts.inode == status.st_ino
        and (runs or facts.ctime in (0, status.st_ctime_ns))
        and facts.size in (None, status.st_size)
        and (facts.dev == device or facts.dev[0] == device[0] == 0)
    )


def _is_of_generation(file: int, executed: ExecutedFile) -> bool:
    """Whether a file that looks the same is no other with its inode number, made in the same tick of the clock.

    stat(2) does not show it; filesystems that have none, and overlays, refuse to tell.
    """
    wanted = executed.facts.generation if executed.facts else None
    if wanted is None:
        return True
    try:
        told = fcntl.ioctl(file, FS_IOC_GETVERSION, bytes(struct.calcsize("l")))
    except OSError:
        return True
    return int.from_bytes(told[:4], sys.byteorder) == wanted


def _device(status: os.stat_result) -> tuple[int, int]:
    return os.major(status.st_dev), os.minor(status.st_dev)


def _changed_since(status: os.stat_result, time_ns: int) -> bool:
    """Whether the file has been changed between a time since boot and now. A clock that was set says nothing."""
    now = time.time_ns()
    then = now - (time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time_ns)
    return then + procfs.TICK_NS < status.st_ctime_ns <= now
