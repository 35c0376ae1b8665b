"""Records that have left the ring buffer, and whose meaning is not kept anywhere yet: they outlive the process."""

from __future__ import annotations

import logging

from exporter.kernel.blob_map import BlobMap

log = logging.getLogger(__name__)


class RecordQueue:
    """A queue of records in a map. Records are counted from 1 in the order in which they are handed out."""

    PARTS = 16384  # most records take one

    def __init__(self, blobs: BlobMap) -> None:
        self._blobs = blobs
        waiting = blobs.read()
        self.recovered = list(waiting.values())  # of a process that did not come to their end
        self._before = next(iter(waiting), 1) - 1
        self._added = self._before + len(waiting)
        self._released = self._before
        self._failing = False

    def add(self, record: bytes) -> None:
        """Keeps a record. One for which there is no room is not kept: a crash before it is released loses its name."""
        self._added += 1
        try:
            self._blobs.put(self._added, record)
            self._failing = False
        except OSError as error:
            if not self._failing:
                log.warning("an introduction cannot be kept until it is written down: %s", error.strerror)
            self._failing = True

    def acknowledge(self, count: int) -> None:
        """Forgets the first so many of all records, whose meaning is kept elsewhere now. Raises OSError."""
        while self._released < min(self._before + count, self._added):
            self._released += 1
            self._blobs.remove(self._released)

    @property
    def pending(self) -> int:
        """How many records are kept."""
        return self._added - self._released

    def close(self) -> None:
        """Closes the map."""
        self._blobs.close()
