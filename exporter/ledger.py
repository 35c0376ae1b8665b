"""What was counted under which labels, as a state in a map that outlives the process.

The kernel's maps only grow, so whatever was added to them after a state was saved can be told from them again. A state
has to be saved before anything is shown that could not be told so: a new series, a count under a name that may change.
"""

from __future__ import annotations

import json
import logging
import zlib
from typing import Any

from exporter.blob_map import BlobMap

log = logging.getLogger(__name__)

PARTS = 8192  # 32 MiB: room for two states of the greatest that there may be
LEVEL = 1


class Ledger:
    """The last of the states that were saved. What cannot be saved is said once, until it can be again."""

    def __init__(self, blobs: BlobMap) -> None:
        self._blobs = blobs
        self._number = 0
        self._failing = False

    @classmethod
    def create(cls) -> Ledger:
        """A new one. Raises OSError."""
        return cls(BlobMap.create("ledger", PARTS))

    @property
    def fd(self) -> int:
        """The map's descriptor."""
        return self._blobs.map.fd

    def load(self) -> dict[str, Any] | None:
        """The last state; None: there is none. Raises OSError, and ValueError for what nobody has saved."""
        found = self._blobs.read()
        for number in list(found)[:-1]:  # whoever saved the last one did not come to removing this one
            self._blobs.remove(number)
        if not found:
            return None
        self._number = max(found)
        state: dict[str, Any] = json.loads(zlib.decompress(found[self._number]))
        return state

    def save(self, state: dict[str, Any]) -> bool:
        """Puts a state in the place of the last one; whether it could."""
        data = zlib.compress(json.dumps(state, separators=(",", ":")).encode("ascii"), LEVEL)
        try:
            self._blobs.put(self._number + 1, data)
            self._blobs.remove(self._number)
        except OSError as error:
            if not self._failing:
                log.error("what was counted cannot be kept for the next start: %s", error.strerror)
            self._failing = True
            return False
        self._number += 1
        self._failing = False
        return True

    def close(self) -> None:
        """Closes the map."""
        self._blobs.close()
