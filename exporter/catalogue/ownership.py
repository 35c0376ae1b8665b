"""One service owns a catalogue: two would learn twice as fast, and each would find what the other knows."""

from __future__ import annotations

import os
from pathlib import Path

from exporter.host.file_lock import LockedError, lock


class OwnedError(Exception):
    """Another process owns the catalogue; the message names it."""


class Ownership:
    """The lock on the file `<catalogue>.lock`, which stays empty and is never removed. Ends with the process.

    Raise OwnedError, OSError.
    """

    def __init__(self, path: Path) -> None:
        self._path = Path(f"{path.resolve()}.lock")
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            lock(self._file)
        except LockedError as holder:
            os.close(self._file)
            raise OwnedError(f"another exec_exporter ({holder}) uses it") from None
        except OSError:
            os.close(self._file)
            raise

    @property
    def holds(self) -> bool:
        """True while the lock's file is there: another process locks what it finds."""
        try:
            return os.path.samestat(os.fstat(self._file), self._path.stat())
        except OSError:
            return False

    def close(self) -> None:
        """Give the catalogue up."""
        os.close(self._file)
