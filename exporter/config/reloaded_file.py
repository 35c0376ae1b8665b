"""Configuration files that are reloaded when they change."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import Generic, TypeVar

from exporter.config.yaml_file import YAMLFileError
from exporter.errors import ExporterError

log = logging.getLogger(__name__)

T = TypeVar("T")
Stamp = tuple[int, ...] | None  # None: the file is missing


class Reloaded:
    """A file that can be loaded again: the name of its flag, its path if there is one, and how the last load ended."""

    name: str
    path: Path | None
    successful: bool


class ReloadedFile(Reloaded, ABC, Generic[T]):
    """Value of the file given by the flag `name`, reloaded when that file, or one that it names, has changed.

    The last good value stays in force. One thread calls `reload`; any thread may call `refusal` and read the
    attributes. Without a path the value stays `empty`. Raise ExporterError if the file is bad at the start.
    """

    def __init__(self, path: Path | None, empty: T) -> None:
        self.path, self.value, self.successful = path, empty, True
        self._stamps: dict[Path, Stamp] = {}
        if path:
            try:
                self._load(path, None)
            except YAMLFileError as error:
                raise error.refusal(path, f"--{self.name}") from error

    @abstractmethod
    def load(self, path: Path, before: T | None) -> T:
        """Return the value of the file; `before` is the one in force. Raise YAMLFileError."""

    def named(self) -> Iterable[Path]:
        """Return the files that the value in force names."""
        return ()

    def refusal(self) -> ExporterError | None:
        """Return the error for which the file as it is now would not be loaded, if there is one."""
        try:
            if self.path:
                self.load(self.path, self.value)
        except YAMLFileError as error:
            return error.refusal(self.path or Path(), f"--{self.name}")
        return None

    def reload(self) -> bool:
        """Return True if the value has changed. Log each failure once."""
        if not self.path or all(_stamp(path) == stamp for path, stamp in self._stamps.items()):
            return False
        try:
            self._load(self.path, self.value)
        except YAMLFileError as error:
            self.successful = False
            refusal = error.refusal(self.path, f"--{self.name}")
            log.error("reload failed, the last good version stays in force: %s", refusal)
            return False
        log.info("reloaded %s", self.path)
        return True

    def _load(self, path: Path, before: T | None) -> None:
        # Taken before the file is read, so that a change in between is seen the next time.
        self._stamps = stamps = {file: _stamp(file) for file in (path, *self.named())}
        self.value = self.load(path, before)
        self._stamps = {file: stamps.get(file, _stamp(file)) for file in (path, *self.named())}
        self.successful = True


def _stamp(path: Path) -> Stamp:
    """Return values that change with a rename, a rewrite and a remount."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
