"""A catalogue that is replaced if it is damaged or gone, and retried while it cannot be used."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import sqlite3
from pathlib import Path

from exporter.catalogue import learning, sqlite_file
from exporter.catalogue.catalogue import Catalogue
from exporter.catalogue.sqlite_file import Damaged, Unusable
from exporter.probe.exec_header import BPF_DIRECTORY

log = logging.getLogger(__name__)

HASH_KEY, KEY_FORMAT = "hash_key", "key_format"
HASH_KEY_BYTES = 16
_SHAPES = re.compile(r"(?:enum (?:key_flag|stdin_type)|struct (?:identity|exec_key)) \{.*?\n\};", re.DOTALL)
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)


class RecoveringCatalogue:
    """The catalogue at a path. `catalogue` is None while it cannot be used; `errors` counts failures.

    `hash_key` is the key of the probe's path hashes, on which all its keys depend. One thread at a time, but any may
    read the attributes.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._logged: set[str] = set()
        self.catalogue: Catalogue | None = None
        self.hash_key = b""
        self.errors = 0
        self.open()
        self.hash_key = self.hash_key or os.urandom(HASH_KEY_BYTES)

    def open(self, lost: bool = False) -> None:
        """Open the catalogue, or a new one that remembers that the old one was `lost`. Log errors."""
        try:
            try:
                catalogue = Catalogue(self._path, create=True)
            except Damaged as error:
                self.errors += 1
                aside = sqlite_file.set_aside(self._path)
                log.error("the catalogue is damaged (%s): renamed to %s, learning restarts", error, aside)
                catalogue, lost = Catalogue(self._path, create=True), True
        except (OSError, sqlite3.Error, Unusable, Damaged) as error:
            self._failed(error)
            return
        try:
            with catalogue.transaction():
                self._begin(catalogue, lost)
        except sqlite3.Error as error:
            catalogue.close()
            self._failed(error)
            return
        self.catalogue = catalogue
        self.succeeded()

    def _begin(self, catalogue: Catalogue, lost: bool) -> None:
        """Forget the keys in the catalogue unless they are in the format and with the hash key of the probe."""
        stored = catalogue.get(HASH_KEY)
        if not self.hash_key and isinstance(stored, bytes) and len(stored) == HASH_KEY_BYTES:
            self.hash_key = stored
        self.hash_key = self.hash_key or os.urandom(HASH_KEY_BYTES)
        if stored != self.hash_key or catalogue.get(KEY_FORMAT) != key_format():
            catalogue.forget_keys()
            catalogue.set(HASH_KEY, self.hash_key)
            catalogue.set(KEY_FORMAT, key_format())
        if lost:
            catalogue.set(learning.LOST, 1)

    def check(self) -> None:
        """Open the catalogue if it is not open, and a new one if its file is gone."""
        if self.catalogue and not self.catalogue.is_there:
            self.errors += 1
            log.error("the catalogue %s was deleted or replaced: learning restarts", self._path)
            self.close()
            self.open(lost=True)
        elif not self.catalogue:
            self.open()

    def failed(self, error: sqlite3.Error) -> None:
        """Count and log a failed operation; replace a damaged catalogue."""
        self._failed(error)
        if sqlite_file.is_damage(error):
            self.close()
            self.open()

    def succeeded(self) -> None:
        """Log that the catalogue works again, if it failed before."""
        if self._logged:
            self._logged.clear()
            log.info("the catalogue %s works again", self._path)

    def close(self) -> None:
        """Close the catalogue."""
        if self.catalogue:
            try:
                self.catalogue.close()
            except sqlite3.Error as error:
                log.debug("closing the catalogue fails: %s", error)
            self.catalogue = None

    def _failed(self, error: Exception) -> None:
        self.errors += 1
        if str(error) not in self._logged:
            self._logged.add(str(error))
            log.error("the catalogue %s fails: %s; novel binaries are detected once it works", self._path, error)


def key_format() -> str:
    """Return a digest of the declarations in exec.h that determine the bytes of a key."""
    header = _COMMENT.sub("", (BPF_DIRECTORY / "exec.h").read_text("ascii"))
    return hashlib.sha256("".join("".join(_SHAPES.findall(header)).split()).encode()).hexdigest()
