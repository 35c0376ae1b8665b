"""What the keys of the map mean: kept from the introductions, asked for at each scrape."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from exporter.decode import DecodeError, Decoder
from exporter.label import UNKNOWN, Labels, labels_of

log = logging.getLogger(__name__)


class Catalogue:
    """The labels of each key. `introductions` gives the records that have come since it was last asked."""

    def __init__(self, decoder: Decoder, introductions: Callable[[], list[bytes]]) -> None:
        self._decoder = decoder
        self._introductions = introductions
        self._labels: dict[bytes, Labels] = {}
        self._unnamed: dict[bytes, Labels] = {}
        self._lock = threading.Lock()
        self.introduced = 0
        self.undecodable = 0

    def update(self) -> None:
        """Takes in what has been introduced. A record that makes no sense is counted, and said once."""
        with self._lock:
            for record in self._introductions():
                try:
                    introduction = self._decoder.introduction(record)
                    self.introduced += 1
                    self._labels[introduction.key] = labels_of(self._decoder.key(introduction.key), introduction)
                    self._unnamed.pop(introduction.key, None)
                except DecodeError as error:
                    self.undecodable += 1
                    if self.undecodable == 1:
                        log.error("an introduction could not be read: %s; further ones are only counted", error)

    def labels(self, key: bytes) -> Labels:
        """The labels of a raw key; path and interpreter are `unknown` as long as it is not introduced."""
        found = self._labels.get(key) or self._unnamed.get(key)
        if found is None:
            try:
                found = labels_of(self._decoder.key(key), None)
            except DecodeError:
                found = Labels(UNKNOWN, UNKNOWN, UNKNOWN)
            self._unnamed[key] = found
        return found

    def forget(self, key: bytes) -> None:
        """Forgets a key that is no longer in the map: if it comes back it is introduced again."""
        with self._lock:
            self._labels.pop(key, None)
            self._unnamed.pop(key, None)
