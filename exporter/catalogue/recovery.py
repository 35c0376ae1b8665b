"""Keeps a catalogue at hand: opens it, starts a new one where it is damaged or gone, does without where it must."""

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
    """The catalogue at `path`. `hash_key` is that of the probe: what its keys mean depends on it.

    `store` is None while there is none that can be used; `errors` counts what failed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._said: set[str] = set()
        self.catalogue: Catalogue | None = None
        self.hash_key = b""
        self.errors = 0
        self.open()
        self.hash_key = self.hash_key or os.urandom(HASH_KEY_BYTES)

    def open(self, lost: bool = False) -> None:
        """Opens the catalogue, or makes a new one; one that is made because another is `lost` says so."""
        try:
            try:
                catalogue = Catalogue(self._path, create=True)
            except Damaged as error:
                self.errors += 1
                aside = sqlite_file.set_aside(self._path)
                log.error("the catalogue is damaged (%s): it is now %s, and a new one learns", error, aside)
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
        if self._said:
            self._said.clear()
            log.info("the catalogue %s can be used", self._path)

    def _begin(self, catalogue: Catalogue, lost: bool) -> None:
        """Makes sure that the keys in the catalogue mean what the probe's keys mean."""
        kept = catalogue.get(HASH_KEY)
        if not self.hash_key and isinstance(kept, bytes) and len(kept) == HASH_KEY_BYTES:
            self.hash_key = kept
        self.hash_key = self.hash_key or os.urandom(HASH_KEY_BYTES)
        if kept != self.hash_key or catalogue.get(KEY_FORMAT) != key_format():
            catalogue.forget_keys()
            catalogue.set(HASH_KEY, self.hash_key)
            catalogue.set(KEY_FORMAT, key_format())
        if lost:
            catalogue.set(learning.LOST, 1)

    def check(self) -> None:
        """Opens the catalogue where it is not open, and a new one where it has been taken away."""
        if self.catalogue and not self.catalogue.is_there:
            self.errors += 1
            log.error("the catalogue %s was taken away: a new one learns", self._path)
            self.close()
            self.open(lost=True)
        elif not self.catalogue:
            self.open()

    def failed(self, error: sqlite3.Error) -> None:
        """Takes note that an operation failed; a damaged catalogue is set aside."""
        self._failed(error)
        if sqlite_file.is_damage(error):
            self.close()
            self.open()

    def succeeded(self) -> None:
        """Takes note that operations work."""
        if self._said:
            self._said.clear()
            log.info("the catalogue %s can be written again", self._path)

    def close(self) -> None:
        """Closes the catalogue."""
        if self.catalogue:
            try:
                self.catalogue.close()
            except sqlite3.Error as error:
                log.debug("closing the catalogue fails: %s", error)
            self.catalogue = None

    def _failed(self, error: Exception) -> None:
        self.errors += 1
        if str(error) not in self._said:
            self._said.add(str(error))
            log.error("the catalogue %s fails: %s; executions are counted, novel binaries wait", self._path, error)


def key_format() -> str:
    """Stands for everything in exec.h that the bytes of a key depend on."""
    header = _COMMENT.sub("", (BPF_DIRECTORY / "exec.h").read_text("ascii"))
    return hashlib.sha256("".join("".join(_SHAPES.findall(header)).split()).encode()).hexdigest()
