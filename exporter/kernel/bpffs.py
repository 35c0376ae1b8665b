"""The directory in a bpffs that keeps counting alive while no exporter runs: what is in it, and whose it is.

    slots and links of the programs that stay attached: slot_on_exec, dispatcher_on_exec, link_on_exec, ...
    ledger                                              what was counted under which labels
    hook_<purpose>_<kind>_<number>                      the hooks for scripts and for failed executions
    1, 2, ...                                           generations: the maps and programs of one probe

There are two generations only while the newer takes over. A bpffs allows no dots in names.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import logging
import os
import re
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from exporter.errors import FAILED, ExporterError
from exporter.kernel import bpf_syscall

log = logging.getLogger(__name__)

BPF_FS_MAGIC = 0xCAFE4A11
USUAL = Path("/sys/fs/bpf")  # where systemd mounts one, and whoever needs it where there is none
LOCKS = Path("/proc/locks")

_libc = ctypes.CDLL(None, use_errno=True)


class PinsUnavailable(Exception):
    """Why nothing can be pinned here."""


class Pins:
    """Such a directory, held by this process alone. Names in it are paths below it.

    Raises PinsUnavailable where there can be none, and ExporterError where another exporter has it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._directory = _opened(path)
        except OSError as error:
            raise PinsUnavailable(f"{path}: {error.strerror}") from error
        try:
            fcntl.flock(self._directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(os.fstat(self._directory).st_ino)
            os.close(self._directory)
            raise ExporterError(
                f"another exec_exporter ({holder}) counts with what is pinned in {path}",
                "end it, or give this one another --bpf.pin-path",
                status=FAILED,
            ) from None

    def close(self) -> None:
        """Lets go of the directory; what is pinned stays."""
        os.close(self._directory)

    def names(self, below: str = "") -> list[str]:
        """What there is, sorted. Raises OSError."""
        return sorted(os.listdir(self.path / below))  # noqa: PTH208 - names, not paths

    def generations(self) -> list[int]:
        """The numbers of the generations, the oldest first. Raises OSError."""
        return sorted(int(name) for name in self.names() if name.isdecimal())

    def make_directory(self, name: str) -> None:
        """Makes a directory. Raises OSError."""
        (self.path / name).mkdir(mode=0o700)

    def rename(self, name: str, new: str) -> None:
        """Renames a directory. Raises OSError."""
        (self.path / name).rename(self.path / new)

    def pin(self, name: str, descriptor: int) -> None:
        """Pins a map, program or link. Raises OSError."""
        bpf_syscall.pin(descriptor, os.fsencode(self.path / name))

    def get(self, name: str) -> int:
        """A descriptor of what is pinned. Raises OSError."""
        return bpf_syscall.pinned(os.fsencode(self.path / name))

    def remove(self, name: str) -> None:
        """Removes a pin or a directory of pins, if it is there. What nobody holds any more is gone. Raises OSError."""
        path = self.path / name
        with contextlib.suppress(FileNotFoundError):
            if stat.S_ISDIR(path.lstat().st_mode):
                for inner in os.listdir(path):  # noqa: PTH208
                    self.remove(f"{name}/{inner}")
                path.rmdir()
            else:
                path.unlink()

    def contents(self) -> str:
        """What there is, in words; empty, if there is nothing. Raises OSError."""
        generations = self.generations()
        attached = sum(name.startswith(("link_", "hook_")) for name in self.names())
        if not generations:
            return ""
        objects = sum(len(self.names(f"{number}")) for number in generations)
        named = ", ".join(map(str, generations))
        return f"generation {named} with {objects} maps and programs, {attached} of them attached"

    def remove_all(self) -> None:
        """Detaches and removes everything: what is attached first. Raises OSError."""
        names = self.names()
        for name in sorted(names, key=lambda name: not name.startswith(("link_", "hook_"))):
            self.remove(name)


def pinned_in(path: Path) -> str:
    """What is pinned in a directory and since when, for who only looks; empty: nothing. Raises OSError."""
    if not path.is_dir():
        return ""
    numbers = sorted(int(name) for name in os.listdir(path) if name.isdecimal())  # noqa: PTH208
    if not numbers:
        return ""
    since = datetime.fromtimestamp((path / f"{numbers[-1]}").stat().st_mtime, UTC)
    return f"generation {numbers[-1]} in {path} since {since:%Y-%m-%d %H:%M:%S} UTC"


def _opened(path: Path) -> int:
    """The directory, made if it is not there. Raises PinsUnavailable or OSError."""
    if path.parent == USUAL and _type_of_filesystem(USUAL) != BPF_FS_MAGIC:
        _call("mount", b"bpf", os.fsencode(USUAL), b"bpf", 0, b"mode=0700")
    if _type_of_filesystem(path.parent) != BPF_FS_MAGIC:
        raise PinsUnavailable(f"{path} is not in a bpffs; mount -t bpf bpf {path.parent}")
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    _set_aside_what_is_foreign(path)
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


def _set_aside_what_is_foreign(path: Path) -> None:
    """Only root or the exporter's own user may own what is trusted, and nobody else may write there."""
    found = path.lstat()
    reason = next(_distrust(path), None)
    if reason is None:
        return
    aside = path.with_name(f"{path.name}-foreign-{found.st_ino}")
    path.rename(aside)
    path.mkdir(mode=0o700)
    log.warning("%s is not trusted (%s): it was set aside as %s, and counting starts anew", path, reason, aside)


def _distrust(path: Path) -> Iterator[str]:
    for one in (path, *sorted(path.rglob("*"))):
        found = one.lstat()
        if found.st_uid not in (0, os.geteuid()):
            yield f"{one} belongs to uid {found.st_uid}"
        if stat.S_ISLNK(found.st_mode):
            yield f"{one} is a symbolic link"
        elif found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            yield f"others may write to {one}"


def _type_of_filesystem(path: Path) -> int:
    buffer = (ctypes.c_long * 32)()  # struct statfs begins with its type
    _call("statfs", os.fsencode(path), buffer)
    return int(buffer[0])


def _call(function: str, *arguments: object) -> None:
    """A function of the C library. Raises OSError."""
    if getattr(_libc, function)(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _holder(inode: int) -> str:
    """Who has locked the directory, as far as that can be seen."""
    with contextlib.suppress(OSError):
        for line in LOCKS.read_text("ascii").splitlines():
            found = re.search(rf" FLOCK .* (\d+) [0-9a-f]+:[0-9a-f]+:{inode} ", line)
            if found and found[1] != "0":
                return f"pid {found[1]}"
    return "in another PID namespace"
