"""The counts of all series, in a map that outlives the process: a snapshot of tables, and changes since.

The kernel's maps only grow, so the next process can derive from them all that was added after a save. Facts that it
could not derive must be saved before they are shown: a new series, a count under labels that may change.

Each part of the exporter has its own tables. A save writes the rows that have changed; from time to time it writes a
new snapshot, and removes all entries before it.
"""

from __future__ import annotations

import json
import logging
import zlib
from collections.abc import Callable, Hashable, Mapping
from typing import Any

from exporter.errors import USAGE, ExporterError
from exporter.kernel.blob_map import BlobMap
from exporter.metrics.tracked_dict import Changes, Tables

log = logging.getLogger(__name__)

FORMAT = 2  # of the checkpoint and of everything that is pinned with it; see service/pinned_format
PARTS = 16384  # 64 MiB: room for the largest tables, as much in changes, and the tables again
LEAST_PARTS = 64  # of changes before the next snapshot
LEVEL = 1


class Checkpoint:
    """Saved tables of each part. A failed save is logged once until it works again. One thread at a time."""

    def __init__(self, blobs: BlobMap) -> None:
        self._blobs = blobs
        self._first = self._next = 1  # entries from the first on are valid; the first is a snapshot
        self._whole_parts = self._changed_parts = 0
        self._whole = True  # the next save writes a snapshot
        self._failing = False

    @classmethod
    def create(cls) -> Checkpoint:
        """Create an empty checkpoint. Raise OSError."""
        return cls(BlobMap.create("checkpoint", PARTS))

    @property
    def fd(self) -> int:
        """File descriptor of the map."""
        return self._blobs.map.fd

    def load(self) -> dict[str, Tables] | None:
        """Return the tables of each part; None if nothing was saved.

        Raise OSError, ExporterError for a newer format, and ValueError or LookupError if they are damaged.
        """
        found = {number: _saved(data) for number, data in self._blobs.read().items()}
        if not found:
            return None
        self._first = max(number for number, saved in found.items() if saved["whole"])
        self._next = max(found) + 1
        self._whole = True
        for number in found:  # a process was killed between writing a snapshot and removing the entries before it
            if number < self._first:
                self._blobs.remove(number)
        tables: dict[str, Tables] = {}
        for number in range(self._first, self._next):
            _apply(tables, found[number]["parts"])
        return tables

    def save(self, changed: Callable[[bool], Mapping[str, Changes]]) -> bool:
        """Write the rows that `changed(whole)` returns for each part: all, or those changed since its last call.

        Return False if they could not be written: the next save writes a snapshot.
        """
        whole = self._whole or self._changed_parts > max(self._whole_parts, LEAST_PARTS)
        self._whole = True  # until it is written
        text = json.dumps({"format": FORMAT, "whole": whole, "parts": changed(whole)}, separators=(",", ":"))
        try:
            parts = self._blobs.put(self._next, zlib.compress(text.encode("ascii"), LEVEL))
            self._next += 1
            if whole:
                self._remove_before(parts)
            else:
                self._changed_parts += parts
        except OSError as error:
            if not self._failing:
                log.error("counts cannot be saved for the next start: %s", error.strerror)
            self._failing = True
            return False
        self._whole = self._failing = False
        return True

    def _remove_before(self, parts: int) -> None:
        """Remove everything before the snapshot that was just written, which has `parts` parts."""
        first, self._first = self._first, self._next - 1
        self._whole_parts, self._changed_parts = parts, 0
        for number in range(first, self._first):
            self._blobs.remove(number)

    def close(self) -> None:
        """Close the map."""
        self._blobs.close()


def _saved(data: bytes) -> dict[str, Any]:
    try:
        saved = json.loads(zlib.decompress(data))
    except zlib.error as error:
        raise ValueError("the checkpoint cannot be read") from error
    if isinstance(saved, dict) and isinstance(saved.get("format"), int):
        check_format(saved["format"], "the pinned checkpoint")
    if not isinstance(saved, dict) or not saved.keys() >= {"whole", "parts"}:
        raise ValueError("the checkpoint is of another version")
    return saved


def check_format(found: int, what: str) -> None:
    """Raise ExporterError if something is of a newer format than this exporter reads."""
    if found > FORMAT:
        raise ExporterError(
            f"{what} is of format {found}, of a newer exec_exporter",
            "upgrade, or remove it with exec_exporter unpin, which loses its counts",
            status=USAGE,
        )


def _apply(tables: dict[str, Tables], parts: Mapping[str, Mapping[str, list[Any]]]) -> None:
    for part, changed in parts.items():
        for name, rows in changed.items():
            table = tables.setdefault(part, {}).setdefault(name, {})
            for key, row in rows:
                if row is None:
                    table.pop(_key(key), None)
                else:
                    table[_key(key)] = row


def _key(key: Any) -> Hashable:
    """Convert a key back from JSON, which has no tuples."""
    return tuple(key) if isinstance(key, list) else key
