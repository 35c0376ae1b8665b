"""The directory in a bpffs whose pins keep the probe counting while no exporter runs.

    slots and links of the programs that stay attached: slot_on_exec, dispatcher_on_exec, link_on_exec, ...
    checkpoint                                          the checkpoint: counts of all series
    hook_<purpose>_<kind>_<number>                      hooks for scripts and for failed executions
    1, 2, ...                                           generations: the maps and programs of one probe each

Two generations exist only during a handover. A bpffs allows no dots in names.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import logging
import os
import stat
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from exporter.errors import FAILED, USAGE, ExporterError
from exporter.host import libc
from exporter.host.file_lock import LockedError, lock
from exporter.kernel import bpf_syscall
from exporter.kernel.own_pins import has_name_of_ours, is_own

log = logging.getLogger(__name__)

BPF_FS_MAGIC = 0xCAFE4A11
USUAL = Path("/sys/fs/bpf")  # mounted by systemd, or else by the exporter
MAKING = "making-"  # prefix of a directory that is incomplete


class PinsUnavailable(Exception):
    """Nothing can be pinned here; the message says why."""


class Pins:
    """The directory, locked by this process. Names are paths relative to it. One thread may use it.

    With `make`, it is made if it does not exist, and renamed if it is not trusted. Pins of others in it are never
    removed. Raise PinsUnavailable where it cannot be opened, and ExporterError where another exporter has locked it or
    it is somebody else's.
    """

    def __init__(self, path: Path, *, make: bool = True) -> None:
        self.path, self._make = path, make
        self._directory = self._lock()

    def _lock(self) -> int:
        try:
            directory = _opened(self.path, make=self._make)
        except OSError as error:
            raise PinsUnavailable(f"{self.path}: {error.strerror}") from error
        try:
            lock(directory)
        except LockedError as holder:
            os.close(directory)
            raise ExporterError(
                f"another exec_exporter ({holder}) uses the probe pinned in {self.path}",
                "stop it, or start this one with another --bpf.pin-path",
                status=FAILED,
            ) from None
        try:
            self._check_owner()
        except BaseException:
            os.close(directory)
            raise
        return directory

    def _check_owner(self) -> None:
        """Raise ExporterError if others have pinned things here that the exporter has to pin, or only others have."""
        try:
            foreign = self.foreign()
            alone = len(foreign) == len(self.names())
        except OSError as error:
            raise PinsUnavailable(f"{self.path}: {error.strerror}") from error
        if foreign and (alone or (self._make and any(map(has_name_of_ours, foreign)))):
            raise ExporterError(
                f"{self.path} is not the exporter's: it has not pinned {', '.join(foreign)}",
                "name a directory of its own with --bpf.pin-path",
                status=USAGE,
            )
        if foreign and self._make:
            log.warning("others have pinned things in %s, which are left alone: %s", self.path, ", ".join(foreign))

    def foreign(self) -> list[str]:
        """Return the names of all entries that the exporter has not made. Raise OSError."""
        return [name for name in self.names() if not is_own(self.path / name)]

    def close(self) -> None:
        """Unlock the directory; all pins stay."""
        os.close(self._directory)

    def names(self, below: str = "") -> list[str]:
        """Return the names of all entries, sorted. Raise OSError."""
        return sorted(os.listdir(self.path / below))  # noqa: PTH208 - names, not paths

    def generations(self) -> list[int]:
        """Return the numbers of the generations, oldest first. Raise OSError."""
        return _generations(self.path)

    def make_directory(self, name: str) -> None:
        """Make a directory. Raise OSError."""
        (self.path / name).mkdir(mode=0o700)

    def rename(self, name: str, new: str) -> None:
        """Rename a directory. Raise OSError."""
        (self.path / name).rename(self.path / new)

    def pin(self, name: str, descriptor: int) -> None:
        """Pin a map, program or link. Raise OSError."""
        bpf_syscall.pin(descriptor, os.fsencode(self.path / name))

    def get(self, name: str) -> int:
        """Return a new descriptor of a pinned object. Raise OSError."""
        return bpf_syscall.pinned(os.fsencode(self.path / name))

    def remove(self, name: str) -> None:
        """Remove a pin or a directory of pins, if it exists, but nothing that others pinned. Raise OSError.

        The kernel frees unreferenced objects.
        """
        path = self.path / name
        if not path.exists() or not is_own(path):
            return
        if not path.is_dir():
            path.unlink()
            return
        for inner in self.names(name):
            self.remove(f"{name}/{inner}")
        _remove_if_empty(path)

    def objects(self) -> list[str]:
        """Return the names of all pins of the exporter, also of those in directories. Raise OSError."""
        own = [name for name in self.names() if is_own(self.path / name)]
        inside = [f"{name}/{inner}" for name in own if (self.path / name).is_dir() for inner in self.names(name)]
        return [name for name in (*own, *inside) if not (self.path / name).is_dir() and is_own(self.path / name)]

    def restore(self, objects: Mapping[str, int]) -> list[str]:
        """Pin again those of the objects, descriptors by name, that others have unpinned; return their names.

        What others have put in their places is renamed. A directory comes back with everything in it, or not at all.
        Raise OSError, PinsUnavailable, ExporterError.
        """
        if not self._is_in_place():
            directory, self._directory = self._directory, self._lock()
            os.close(directory)
        for name in {name.partition("/")[0] for name in objects if "/" in name} & set(self.names()):
            if not stat.S_ISDIR((self.path / name).lstat().st_mode):
                self._set_aside(name)
        missing = sorted(name for name, descriptor in objects.items() if not self._has(name, descriptor))
        gone = {name.partition("/")[0] for name in missing if "/" in name} - set(self.names())
        for directory_name in gone:
            self.remove(f"{MAKING}{directory_name}")
            self.make_directory(f"{MAKING}{directory_name}")
        for name in missing:
            self.pin(f"{MAKING}{name}" if name.partition("/")[0] in gone else name, objects[name])
        for directory_name in gone:
            self.rename(f"{MAKING}{directory_name}", directory_name)
        return missing

    def _has(self, name: str, descriptor: int) -> bool:
        """Return True if an object is pinned by a name; rename anything else of that name. Raise OSError."""
        path = self.path / name
        if not os.path.lexists(path):
            return False
        if path.is_file() and not path.is_symlink():
            found = self.get(name)
            try:
                if bpf_syscall.identity(found) == bpf_syscall.identity(descriptor):
                    return True
            finally:
                os.close(found)
        self._set_aside(name)
        return False

    def _set_aside(self, name: str) -> None:
        """Rename what others have put in the place of a pin or a directory. Raise OSError."""
        path = self.path / name
        aside = f"foreign-{name.replace('/', '-')}-{path.lstat().st_ino}"
        path.rename(self.path / aside)
        log.warning("%s is not the exporter's: renamed to %s", path, aside)

    def _is_in_place(self) -> bool:
        """Return True if the path still leads to the directory that is locked."""
        try:
            return os.path.samestat(self.path.stat(), os.fstat(self._directory))
        except FileNotFoundError:
            return False

    def contents(self) -> str:
        """Describe the pins as text; empty if there are none. Raise OSError."""
        generations = self.generations()
        attached = sum(name.startswith(("link_", "hook_")) for name in self.names())
        if not generations:
            return ""
        objects = sum(len(self.names(f"{number}")) for number in generations)
        named = ", ".join(map(str, generations))
        return f"generation {named} with {objects} maps and programs, {attached} of them attached"

    def remove_all(self, but: str = "") -> None:
        """Detach and remove everything that the exporter pinned but one pin, attached programs first. Raise OSError."""
        names = [name for name in self.names() if name != but]
        for name in sorted(names, key=lambda name: not name.startswith(("link_", "hook_"))):
            self.remove(name)

    def remove_directory(self) -> None:
        """Remove the directory, unless others have pinned something in it. Raise OSError."""
        _remove_if_empty(self.path)


def _remove_if_empty(path: Path) -> None:
    try:
        path.rmdir()
    except OSError as error:
        if error.errno != errno.ENOTEMPTY:
            raise


def _generations(path: Path) -> list[int]:
    names = os.listdir(path)  # noqa: PTH208 - names, not paths
    return sorted(int(name) for name in names if name.isdecimal() and is_own(path / name))


def pinned_in(path: Path) -> str:
    """Describe the pins in a directory and their age, without a lock; empty if there are none. Raise OSError."""
    if not path.is_dir():
        return ""
    numbers = _generations(path)
    if not numbers:
        return ""
    since = datetime.fromtimestamp((path / f"{numbers[-1]}").stat().st_mtime, UTC)
    return f"generation {numbers[-1]} in {path} since {since:%Y-%m-%d %H:%M:%S} UTC"


def _opened(path: Path, *, make: bool) -> int:
    """Open the directory, which is made if it does not exist. Raise PinsUnavailable or OSError."""
    if make and path.parent == USUAL and _type_of_filesystem(USUAL) != BPF_FS_MAGIC:
        libc.call("mount", b"bpf", os.fsencode(USUAL), b"bpf", 0, b"mode=0700")
    if _type_of_filesystem(path.parent) != BPF_FS_MAGIC:
        raise PinsUnavailable(f"{path} is not in a bpffs; mount -t bpf bpf {path.parent}")
    if make:
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)
        _set_foreign_aside(path)
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


def _set_foreign_aside(path: Path) -> None:
    """Rename the directory if anybody but root and the exporter's own user has pins in it or may write to it."""
    found = path.lstat()
    reason = next(_distrust(path), None)
    if reason is None:
        return
    aside = path.with_name(f"{path.name}-foreign-{found.st_ino}")
    path.rename(aside)
    path.mkdir(mode=0o700)
    log.warning("%s is not trusted (%s): renamed to %s; counting starts from zero", path, reason, aside)


def _distrust(path: Path) -> Iterator[str]:
    for one in (path, *sorted(path.rglob("*"))):
        found = one.lstat()
        if found.st_uid not in (0, os.geteuid()):
            yield f"{one} belongs to uid {found.st_uid}"
        if stat.S_ISLNK(found.st_mode):
            if one == path:
                yield f"{one} is a symbolic link"
        elif found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            yield f"others may write to {one}"


def _type_of_filesystem(path: Path) -> int:
    buffer = (ctypes.c_long * 32)()  # struct statfs begins with its type
    libc.call("statfs", os.fsencode(path), buffer)
    return int(buffer[0])
