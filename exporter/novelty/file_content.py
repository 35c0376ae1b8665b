"""Find an executed file again, make sure that it is the same file, and read its content."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import islice

from exporter.catalogue.catalogue import HOST_SCOPE
from exporter.escape import escape
from exporter.events.decode import Identity
from exporter.host import procfs
from exporter.host.clocks import boot_ns
from exporter.host.interruption import Interruption
from exporter.host.mounts import names_of
from exporter.host.openat2 import look_up
from exporter.host.packages import Packages, PackageVerdict
from exporter.host.procfs import Process
from exporter.novelty.executed_file import ExecutedFile, FileFacts, nested, renamed
from exporter.novelty.hashing import Digests, Hasher

DESCRIPTOR = re.compile(rb"/dev/fd/([0-9]+)")
WORLD_WRITABLE = 0o002
PROCESS, PARENT, HOST = "process", "parent", "host"
INTERPRETER = re.compile(rb"#![ \t]*(/[^ \t\n\0]+)")
LINE_BYTES = 256  # BINPRM_BUF_SIZE
NESTED = 6  # a script, and as many scripts as the kernel follows to its interpreter
MOUNTS = 64  # of a filesystem in a namespace, in which a file is looked for
DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
UP = "/.." * 64  # from a chroot to the root of its mount namespace, which ".." cannot leave


@dataclass(frozen=True)
class Content:
    """Content of an executed file. `digest` is its SHA-256, None if unknown; `size` is in bytes.

    `executed` is the file as found: a script known only as invoked has its own path and identity here. `named_in` has
    the root directories in which its name led to it, or must have if it no longer does; only in the host's can packages
    own it. An `unlinked` file had no name left. A file that was copied up is in the upper layer only if its content is
    not that of the layer below.
    """

    executed: ExecutedFile
    digest: bytes | None = None
    size: int | None = None
    package: PackageVerdict | None = None
    named_in: frozenset[str] = frozenset()
    unlinked: bool = False
    writable_directory: bool = False


class Reader:
    """Read executed files, in the root directories of their processes and in `rootfs`. One thread at a time.

    Without a `hasher`, files are found but not read: every content is unknown. Once the `interruption` is set, looking
    at a file raises Interrupted.
    """

    def __init__(
        self, rootfs: str, hasher: Hasher | None, packages: Packages, interruption: Interruption | None = None
    ) -> None:
        self._rootfs, self._hasher, self._packages = os.fsencode(rootfs), hasher, packages
        self._interruption = interruption or Interruption()

    def packages(self) -> set[str]:
        """Return the names of the host's packages."""
        return self._packages.installed()

    @property
    def reads(self) -> bool:
        """True if contents are read."""
        return self._hasher is not None

    def look(self, executed: ExecutedFile, is_known: Callable[[Identity], bool]) -> Content:
        """Return the content of an executed file as far as it can be determined now.

        Known files are not read, unless they were copied up: then the content shows whether they were written to. Raise
        Interrupted.
        """
        self._interruption.check()
        if executed.facts and not executed.origin and is_known(executed.identity):
            return Content(executed)
        led = frozenset({HOST}) if _has_path_of_host(executed) else frozenset[str]()
        with self.opened(executed) as found:
            if found is None:
                size = executed.facts.size if executed.facts else None
                owner = self._packages.owner(executed.name) if executed.name and self._is_of_host(executed) else None
                package = owner.explain(None, None) if owner else None
                return Content(executed, size=size, package=package, named_in=led)
            descriptor, status, executed, runs = found
            if not executed.origin and is_known(executed.identity):
                return Content(executed, named_in=frozenset({HOST}) & self._names(executed, status)[0])
            named_in, writable = self._names(executed, status)
            if HOST in named_in:
                executed = replace(executed, scope=HOST_SCOPE)
            owner = self._packages.owner(executed.name) if HOST in named_in and executed.name else None
            generation = executed.facts.generation if executed.facts else None
            md5 = bool(owner and owner.needs_md5)
            digests = Digests()
            if self._hasher:
                digests = self._hasher.digests(descriptor, status, generation, runs=runs, md5=md5)
            if digests.sha256 is not None and digests.sha256 == self._digest_below(executed):
                executed = replace(executed, upper_layer=False)
            return Content(
                executed=executed,
                digest=digests.sha256,
                size=status.st_size,
                package=owner.explain(*digests) if owner else None,
                named_in=named_in or led,
                writable_directory=writable,
                unlinked=not status.st_nlink,
            )

    def interpreters(self, script: ExecutedFile) -> Iterator[ExecutedFile]:
        """Yield the interpreter of a script if it is a script itself, then that one's, as far as they are found."""
        for depth in range(NESTED if self.reads else 0):
            name = None
            with suppress(OSError), self.opened(script) as found:
                name = _interpreter_in(found[0]) if found else None
                if found and name and depth:
                    yield found[2]
            if name is None or escape(name) == script.interpreter:
                return
            script = nested(script, name)

    def _is_of_host(self, executed: ExecutedFile) -> bool:
        """Return true if the kernel's path is one of the host, or the process or its parent has the host's root."""
        if _has_path_of_host(executed):
            return True
        with suppress(OSError), _closing(os.open(self._rootfs, DIRECTORY)) as host:
            status = os.fstat(host)
            roots = self._roots(executed)
            return any(os.path.samestat(os.fstat(root), status) for place, root in roots if place != HOST)
        return False

    def _digest_below(self, executed: ExecutedFile) -> bytes | None:
        """Return the SHA-256 of the file from which this one was copied up; None if it cannot be found or read."""
        if executed.origin is None or self._hasher is None:
            return None
        path, facts = executed.origin
        for process in (Process(os.getpid()), executed.process, Process(executed.process.parent)):
            with procfs.directory(process) as directory, suppress(OSError):
                if directory is None:
                    continue
                with _closing(os.open("root", DIRECTORY, dir_fd=directory)) as root:
                    for name in islice(names_of(directory, facts.dev, path), MOUNTS):
                        with suppress(OSError), _closing(look_up(root, name)) as there:
                            status = os.fstat(there)
                            if stat.S_ISREG(status.st_mode) and is_same(facts, status):
                                return self._hasher.digests(
                                    there, status, facts.generation, runs=False, md5=False
                                ).sha256
        return None

    def is_gone(self, content: Content) -> bool:
        """Return true if the name of the file was removed since the execution."""
        if content.unlinked:
            return True
        try:
            self._status_now(content)
        except OSError as error:
            return error.errno in (errno.ENOENT, errno.ENOTDIR)
        return False

    def is_replaced(self, content: Content) -> bool:
        """Return true if another file, or one of another size, has the name of the file since the execution."""
        facts = content.executed.facts
        try:
            status = self._status_now(content)
        except OSError:
            return False
        return bool(facts and status and not is_same(facts, status, runs=True))

    def _status_now(self, content: Content) -> os.stat_result | None:
        """Return the status of the file that has the name now; None if it is not known where. Raise OSError."""
        name = content.executed.name
        if name is not None:
            for place, root in self._roots(content.executed):
                if place in content.named_in:
                    with _closing(look_up(root, name)) as there:
                        return os.fstat(there)
        return None

    @contextmanager
    def opened(self, executed: ExecutedFile) -> Iterator[tuple[int, os.stat_result, ExecutedFile, bool] | None]:
        """Yield an O_PATH descriptor of the file, its status, the file as found, and whether the process runs it."""
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
        """Yield descriptors of candidates, and whether the process runs the file; the caller closes them."""
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
        """Yield the root directories in which the file may have its name, each with a word that describes it.

        These are the roots of the process and of its mount namespace while it lives, those of its parent, and the
        host's.
        """
        own = executed.process
        for name, process in ((PROCESS, own), (PARENT, Process(own.parent))):
            with procfs.directory(process) as directory:
                if directory is not None:
                    for place, path in ((name, "root"), (f"{name} namespace", "root" + UP)):
                        with suppress(OSError), _closing(os.open(path, DIRECTORY, dir_fd=directory)) as root:
                            if process is own or executed.facts or _has_interpreter(executed, root):
                                yield place, root
        with suppress(OSError), _closing(os.open(self._rootfs, DIRECTORY)) as root:
            if executed.facts or _has_interpreter(executed, root):
                yield HOST, root

    def _names(self, executed: ExecutedFile, status: os.stat_result) -> tuple[frozenset[str], bool]:
        """Return the roots in which the name leads to the file, and whether its directory is world-writable in one."""
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


def _has_path_of_host(executed: ExecutedFile) -> bool:
    """Return true if the kernel has shown that the path starts from the host's root directory."""
    return bool(executed.facts and executed.scope == HOST_SCOPE)


def _interpreter_in(descriptor: int) -> bytes | None:
    """Return the interpreter that a script names, by the O_PATH descriptor of the script; None if it is none.

    Raise OSError.
    """
    with _closing(os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)) as file:
        found = INTERPRETER.match(os.pread(file, LINE_BYTES, 0))
    return found and found[1]


@contextmanager
def _closing(descriptor: int) -> Iterator[int]:
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _has_interpreter(executed: ExecutedFile, root: int) -> bool:
    """Return true if the interpreter of a script known only as invoked is in this root: then the script was, too."""
    if executed.interpreter_file is None:
        return False
    name, facts = executed.interpreter_file
    try:
        with _closing(look_up(root, name)) as there:
            return is_same(facts, os.fstat(there))
    except OSError:
        return False


def _link(executed: ExecutedFile) -> str | None:
    """Return the link in /proc/<pid> that leads to the file even if its name is gone; None if there is no such link."""
    if executed.runs:
        return "exe"
    invoked = DESCRIPTOR.fullmatch(executed.invoked)
    return f"fd/{int(invoked[1])}" if invoked else None


def _matching(executed: ExecutedFile, descriptor: int, status: os.stat_result, runs: bool) -> ExecutedFile | None:
    """Return the executed file if the descriptor is this file, else None.

    A script known only as invoked gets its own name and identity.
    """
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
    """Return true if the file is the one that was executed, with the same content.

    A file that `runs` cannot be written to: its ctime changes only with its names and permissions. Filesystems without
    a block device (overlay, btrfs) may have another device number in stat(2) than in the kernel.
    """
    device = _device(status)
    return (
        facts.inode == status.st_ino
        and (runs or facts.ctime in (0, status.st_ctime_ns))
        and facts.size in (None, status.st_size)
        and (facts.dev == device or facts.dev[0] == device[0] == 0)
    )


def _device(status: os.stat_result) -> tuple[int, int]:
    return os.major(status.st_dev), os.minor(status.st_dev)


def _changed_since(status: os.stat_result, time_ns: int) -> bool:
    """Return true if the ctime is between a time, in ns since boot, and now. Later ctimes come from a set clock."""
    now = time.time_ns()
    then = now - (boot_ns() - time_ns)
    return then + procfs.TICK_NS < status.st_ctime_ns <= now
