"""Records that have left the ring buffer, in a map: they stay until every reader has acknowledged them."""

from __future__ import annotations

import logging
import threading
from bisect import bisect_right
from collections.abc import Collection, Iterator

from exporter.kernel.blob_map import BlobMap

log = logging.getLogger(__name__)

CHECKPOINT, NOVELTY = "checkpoint", "novelty"  # readers


class RecordQueue:
    """Records in the order in which they left the ring buffer, numbered from 1.

    One thread adds; each of the `readers` may read, wait and acknowledge in a thread of its own. If the map is pinned,
    the next process inherits what not all readers have acknowledged, and the numbers continue, behind gaps where a
    record is missing. `refused` counts the records for which there was no room.
    """

    PARTS = 16384  # most records take one

    def __init__(self, blobs: BlobMap, readers: Collection[str]) -> None:
        self._blobs = blobs
        self._numbers = blobs.recover()  # of the records in the queue, ascending
        self._last = self._numbers[-1] if self._numbers else 0
        self._acknowledged = dict.fromkeys(readers, self._numbers[0] - 1 if self._numbers else 0)
        self._changed = threading.Condition()
        self._failing = self._closed = self._interrupted = False
        self.refused = 0

    def add(self, record: bytes) -> int | None:
        """Add a record and return its number; None if there is no room, which is logged once until it is empty."""
        number = self._last + 1
        try:
            self._blobs.put(number, record)
        except OSError as error:
            if not self._failing:
                log.warning("introductions do not fit into their queue: %s", error.strerror)
            self._failing = True
            self.refused += 1
            return None
        with self._changed:
            self._numbers.append(number)
            self._last = number
            self._changed.notify_all()
        return number

    @property
    def readers(self) -> Collection[str]:
        """Names of the readers."""
        return self._acknowledged.keys()

    def read(self, after: int, count: int) -> list[tuple[int, bytes]]:
        """Return up to `count` records with greater numbers than `after`, ascending. Raise OSError.

        Damaged records are empty. A queue that is closed has none.
        """
        with self._changed:
            first = bisect_right(self._numbers, after)
            numbers = self._numbers[first : first + count]
        return [(number, self._blobs.get(number) or b"") for number in numbers if not self._closed]

    def records(self) -> Iterator[tuple[int, bytes]]:
        """Yield all records and their numbers, ascending; one at a time is in memory. Raise OSError."""
        after = 0
        while found := self.read(after, 1):
            yield found[0]
            after = found[0][0]

    def wait(self, after: int, timeout_seconds: float) -> bool:
        """Wait for a record with a number above `after`; return False after a timeout or if the waits are ended."""
        with self._changed:
            self._changed.wait_for(lambda: self._last > after or self._interrupted, timeout_seconds)
            return self._last > after and not self._closed

    def acknowledge(self, reader: str, number: int) -> None:
        """Acknowledge all records up to a number for a reader; remove those that all readers have acknowledged.

        Raise OSError.
        """
        with self._changed:
            self._acknowledged[reader] = max(self._acknowledged[reader], min(number, self._last))
            count = bisect_right(self._numbers, min(self._acknowledged.values()))
            done, self._numbers = self._numbers[:count], self._numbers[count:]
            self._failing = self._failing and bool(self._numbers)
        for each in done:
            self._blobs.remove(each)

    @property
    def pending(self) -> int:
        """Number of records in the queue."""
        return len(self._numbers)

    def waiting(self, reader: str) -> int:
        """Return the number of records that a reader has not acknowledged."""
        with self._changed:
            return len(self._numbers) - bisect_right(self._numbers, self._acknowledged[reader])

    def interrupt(self) -> None:
        """End all waits, also later ones."""
        with self._changed:
            self._interrupted = True
            self._changed.notify_all()

    def close(self) -> None:
        """End all waits and close the map."""
        self._closed = True
        self.interrupt()
        self._blobs.close()
