"""What was counted under which labels, in a map that outlives the process: tables, and what has changed in them since.

The kernel's maps only grow, so whatever was added to them after a save can be told from them again. It has to be saved
before anything is shown that could not be told so: a new series, a count under a name that may change.

Each part of the exporter has tables of its own. A save writes the rows that have changed; now and then it writes all of
them, and what was written before goes.
"""

from __future__ import annotations

import json
import logging
import zlib
from collections.abc import Callable, Hashable, Mapping
from typing import Any

from exporter.kernel.blob_map import BlobMap
from exporter.metrics.tracked_dict import Changes, Tables

log = logging.getLogger(__name__)

PARTS = 16384  # 64 MiB: room for all tables at their greatest, as much in changes, and all of them once more
LEAST_PARTS = 64  # of changes, before everything is written again
LEVEL = 1


class Checkpoint:
    """The tables of each part as they were last saved. What cannot be saved is said once, until it can be again."""

    def __init__(self, blobs: BlobMap) -> None:
        self._blobs = blobs
        self._first = self._next = 1  # those from the first on are all there is to read, of which the first is whole
        self._whole_parts = self._changed_parts = 0
        self._whole = True  # whether everything is to be written
        self._failing = False

    @classmethod
    def create(cls) -> Checkpoint:
        """A new one. Raises OSError."""
        return cls(BlobMap.create("checkpoint", PARTS))

    @property
    def fd(self) -> int:
        """The map's descriptor."""
        return self._blobs.map.fd

    def load(self) -> dict[str, Tables] | None:
        """The tables of each part; None: there are none.

        Raises OSError, and ValueError or LookupError for what is not whole, or nobody has saved.
        """
        found = {number: _saved(data) for number, data in self._blobs.read().items()}
        if not found:
            return None
        self._first = max(number for number, saved in found.items() if saved["whole"])
        self._next = max(found) + 1
        self._whole = True
        for number in found:  # whoever wrote the last whole one did not come to removing what was before it
            if number < self._first:
                self._blobs.remove(number)
        tables: dict[str, Tables] = {}
        for number in range(self._first, self._next):
            _apply(tables, found[number]["parts"])
        return tables

    def save(self, changed: Callable[[bool], Mapping[str, Changes]]) -> bool:
        """Writes what has changed since it was last asked, of every part; all rows if asked with True.

        Whether it could: if not, everything is written the next time.
        """
        whole = self._whole or self._changed_parts > max(self._whole_parts, LEAST_PARTS)
        text = json.dumps({"whole": whole, "parts": changed(whole)}, separators=(",", ":"))
        self._whole = True  # until it is written
        try:
            parts = self._blobs.put(self._next, zlib.compress(text.encode("ascii"), LEVEL))
            self._next += 1
            if whole:
                self._begin_anew(parts)
            else:
                self._changed_parts += parts
        except OSError as error:
            if not self._failing:
                log.error("what was counted cannot be kept for the next start: %s", error.strerror)
            self._failing = True
            return False
        self._whole = self._failing = False
        return True

    def _begin_anew(self, parts: int) -> None:
        """Nothing before what was written last is needed."""
        first, self._first = self._first, self._next - 1
        self._whole_parts, self._changed_parts = parts, 0
        for number in range(first, self._first):
            self._blobs.remove(number)

    def close(self) -> None:
        """Closes the map."""
        self._blobs.close()


def _saved(data: bytes) -> dict[str, Any]:
    try:
        saved = json.loads(zlib.decompress(data))
    except zlib.error as error:
        raise ValueError("what is in the checkpoint cannot be read") from error
    if not isinstance(saved, dict) or not saved.keys() >= {"whole", "parts"}:
        raise ValueError("what is in the checkpoint is of another version")
    return saved


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
    """As it was before JSON made a list of it."""
    return tuple(key) if isinstance(key, list) else key
