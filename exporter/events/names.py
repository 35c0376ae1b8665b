"""Labels of the probe's keys."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from exporter.events.decode import DecodeError, Decoder
from exporter.events.labels import UNKNOWN, Labels, labels_of

log = logging.getLogger(__name__)

USED = 65536  # keys; a key beyond these is collected when it is executed again


class Names:
    """Labels by raw key, from the records that introduced the keys.

    With `track_used`, keys are collected for `take_used`. `unsaved` has the keys whose names are nowhere else, neither
    in a queue nor in the checkpoint. One thread at a time: callers hold the pipeline's lock.
    """

    def __init__(self, decoder: Decoder, *, track_used: bool = False) -> None:
        self._decoder, self._track_used = decoder, track_used
        self._labels: dict[bytes, Labels] = {}
        self._used: set[bytes] = set()
        self.unsaved: set[bytes] = set()
        self._renamed: set[bytes] = set()
        self.introduced = 0
        self.undecodable = 0

    def preload(self, known: Mapping[bytes, Labels]) -> None:
        """Add labels of keys that will not be introduced again; introductions take precedence."""
        self._renamed |= known.keys() - self._labels.keys()
        self._labels = {**known, **self._labels}

    def add(self, record: bytes) -> bytes | None:
        """Name the key that a record introduces, and return it; None if the record cannot be decoded."""
        try:
            introduction = self._decoder.introduction(record)
            key = self._decoder.key(introduction.key)
        except DecodeError as error:
            self.undecodable += 1
            if self.undecodable == 1:
                log.error("a record cannot be decoded: %s; further ones are only counted", error)
            return None
        self.introduced += 1
        self._labels[introduction.key] = labels_of(key, introduction)
        self._renamed.add(introduction.key)
        return introduction.key

    def labels(self, key: bytes) -> Labels:
        """Return the labels of a key; path and interpreter are `unknown` until it is introduced."""
        found = self._labels.get(key)
        if found is None:
            try:
                found = labels_of(self._decoder.key(key), None)
            except DecodeError:
                found = Labels(UNKNOWN, UNKNOWN, UNKNOWN)
        return found

    def named(self, key: bytes) -> Labels | None:
        """Return the labels of a key; None until it is introduced."""
        return self._labels.get(key)

    def renamed(self) -> set[bytes]:
        """Return the keys that were introduced or preloaded since the last call."""
        found, self._renamed = self._renamed, set()
        return found

    def mark_used(self, key: bytes) -> None:
        """Note that a key was executed after its introduction, or that its introduction was lost."""
        if self._track_used and len(self._used) < USED:
            self._used.add(key)

    def mark_refused(self, key: bytes) -> None:
        """Note that the queue has refused the record of a key: novelty looks at the key, and its name must be saved."""
        self.mark_used(key)
        self.unsaved.add(key)

    def take_used(self) -> set[bytes]:
        """Return the keys that were marked since the last call."""
        found, self._used = self._used, set()
        return found

    def forget(self, key: bytes) -> None:
        """Forget a key that was removed from the map; the probe introduces it again if it comes back."""
        self._labels.pop(key, None)
        self.unsaved.discard(key)
