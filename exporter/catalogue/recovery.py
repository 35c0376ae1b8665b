"""A catalogue that is replaced if it is damaged or gone, and retried while it cannot be used."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from exporter.catalogue import learning, sqlite_file
from exporter.catalogue.catalogue import Catalogue
from exporter.catalogue.ownership import OwnedError, Ownership
from exporter.catalogue.sqlite_file import Damaged, Newer, Unusable
from exporter.errors import USAGE, ExporterError
from exporter.probe.exec_header import BPF_DIRECTORY

log = logging.getLogger(__name__)

HASH_KEY, KEY_FORMAT = "hash_key", "key_format"
HASH_KEY_BYTES = 16
FAILURES = (OSError, sqlite3.Error, Unusable, Damaged, OwnedError)
OWNED_SECONDS, RETRY_SECONDS = 20.0, 0.25
_SHAPES = re.compile(r"(?:enum (?:key_flag|stdin_type)|struct (?:identity|exec_key)) \{.*?\n\};", re.DOTALL)
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)


class RecoveringCatalogue:
    """The catalogue at a path. `catalogue` is None while it cannot be used; `errors` counts failures.

    `hash_key` is the key of the probe's path hashes, on which all its keys depend. One thread at a time, but any may
    read the attributes. Raise ExporterError for a catalogue of a newer exporter, and for one that another exporter uses
    and does not give up within OWNED_SECONDS. `wait` waits so many seconds.
    """

    def __init__(self, path: Path, wait: Callable[[float], object] = time.sleep) -> None:
        self._path = path
        self._logged: set[str] = set()
        self.catalogue: Catalogue | None = None
        self.hash_key = b""
        self.errors = 0
        self._ownership: Ownership | None = None
        self._companions: dict[Path, int] = {}
        try:
            self._wait_for_ownership(wait)
            self._open(lost=False)
        except Newer as error:
            self._disown()
            what = f"the catalogue {path} cannot be used ({error})"
            raise ExporterError(what, "upgrade, or give another --catalogue.path", status=USAGE) from error
        except OwnedError as error:
            what = f"the catalogue {path} cannot be used ({error})"
            raise ExporterError(what, "stop that, or give another --catalogue.path", status=USAGE) from error
        except FAILURES as error:
            self._failed(error)
        self.hash_key = self.hash_key or os.urandom(HASH_KEY_BYTES)

    def open(self, lost: bool = False) -> None:
        """Open the catalogue, or a new one that remembers that the old one was `lost`. Log errors."""
        try:
            self._open(lost)
        except FAILURES as error:
            self._failed(error)

    def _wait_for_ownership(self, wait: Callable[[float], object]) -> None:
        """Own the catalogue as soon as another exporter, which may be about to stop, has given it up."""
        for attempt in range(round(OWNED_SECONDS / RETRY_SECONDS)):
            try:
                self._own()
            except OwnedError as error:
                if not attempt:
                    log.warning("the catalogue %s: %s; waiting up to %.0f s", self._path, error, OWNED_SECONDS)
                wait(RETRY_SECONDS)
            else:
                return
        self._own()

    def _own(self) -> None:
        """Own the catalogue, unless it is owned by now."""
        if self._ownership and self._ownership.holds:
            return
        self._disown()
        sqlite_file.make(self._path)
        self._ownership = Ownership(self._path)

    def _disown(self) -> None:
        if self._ownership:
            self._ownership.close()
            self._ownership = None

    def _open(self, lost: bool) -> None:
        self._own()
        try:
            catalogue = Catalogue(self._path, create=True, owned=True)
        except Damaged as error:
            self.errors += 1
            aside = sqlite_file.set_aside(self._path)
            log.error("the catalogue is damaged (%s): renamed to %s, learning restarts", error, aside)
            catalogue, lost = Catalogue(self._path, create=True, owned=True), True
        try:
            with catalogue.transaction():
                self._begin(catalogue, lost)
        except sqlite3.Error:
            catalogue.close()
            raise
        self.catalogue = catalogue
        self._companions = sqlite_file.companions(self._path)
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
        """Open the catalogue if it is not open, another file in its place, and a new one if its file is gone."""
        if self.catalogue and not self.catalogue.is_there:
            self.errors += 1
            lost = not self._path.exists()
            what = "deleted: learning restarts" if lost else "replaced: continuing with the new file"
            log.error("the catalogue %s was %s", self._path, what)
            self._close()
            sqlite_file.remove_stale(self._companions)
            self.open(lost=lost)
        elif not self.catalogue:
            self.open()

    def failed(self, error: sqlite3.Error) -> None:
        """Count and log a failed operation; replace a damaged catalogue."""
        self._failed(error)
        if sqlite_file.is_damage(error):
            self._close()
            self.open()

    def succeeded(self) -> None:
        """Log that the catalogue works again, if it failed before."""
        if self._logged:
            self._logged.clear()
            log.info("the catalogue %s works again", self._path)

    def close(self) -> None:
        """Close the catalogue, which another exporter may use then."""
        self._close()
        self._disown()

    def _close(self) -> None:
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
