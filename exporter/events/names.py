"""What the keys of the map mean: kept from the introductions, asked for at each scrape."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping

from exporter.events.decode import DecodeError, Decoder, ExecKey, Introduction
from exporter.events.labels import UNKNOWN, Labels, labels_of

log = logging.getLogger(__name__)

Introduced = tuple[bytes, ExecKey, Introduction, int]
Observer = Callable[[bytes, ExecKey, Introduction, int], None]


class Names:
    """The labels of each key. `introductions` gives the records that have come since it was last asked.

    An observer is called with each introduction: raw key, key, introduction, and the how manieth record it was. It must
    not wait.
    """

    def __init__(self, decoder: Decoder, introductions: Callable[[], list[bytes]]) -> None:
        self._decoder = decoder
        self._introductions = introductions
        self._labels: dict[bytes, Labels] = {}
        self._unnamed: dict[bytes, Labels] = {}
        self._used: set[bytes] = set()
        self._renamed: set[bytes] = set()
        self._lock = threading.Lock()
        self.observer: Observer | None = None
        self._held: list[Introduced] | None = None
        self.taken = 0  # records, of any kind
        self.introduced = 0
        self.undecodable = 0

    def hold(self, introduced: Iterable[Introduced]) -> None:
        """Holds introductions, these first, for an observer that is yet to come."""
        self._held = list(introduced)

    def held(self) -> list[Introduced]:
        """What is held; from now on nothing is."""
        held, self._held = self._held or [], None
        return held

    def observe(self, observer: Observer | None) -> None:
        """Gives the observer what was held, and whatever comes; None: there is none to come."""
        with self._lock:
            self.observer = observer
            for introduced in self.held():
                if observer:
                    observer(*introduced)

    def preload(self, known: Mapping[bytes, Labels]) -> None:
        """Takes in what keys mean that need no introduction."""
        with self._lock:
            self._renamed |= known.keys() - self._labels.keys()
            self._labels = {**known, **self._labels}

    def update(self) -> None:
        """Takes in what has been introduced. A record that makes no sense is counted, and said once."""
        with self._lock:
            for record in self._introductions():
                self.taken += 1
                try:
                    introduction = self._decoder.introduction(record)
                    key = self._decoder.key(introduction.key)
                    self.introduced += 1
                except DecodeError as error:
                    self.undecodable += 1
                    if self.undecodable == 1:
                        log.error("an introduction could not be read: %s; further ones are only counted", error)
                    continue
                self._labels[introduction.key] = labels_of(key, introduction)
                self._unnamed.pop(introduction.key, None)
                self._renamed.add(introduction.key)
                if self._held is not None:
                    self._held.append((introduction.key, key, introduction, self.taken))
                if self.observer:
                    self.observer(introduction.key, key, introduction, self.taken)

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

    def named(self, key: bytes) -> Labels | None:
        """The labels of a raw key that was introduced; None: it was not."""
        return self._labels.get(key)

    def renamed(self) -> set[bytes]:
        """The keys that were given a name since the last call."""
        with self._lock:
            found, self._renamed = self._renamed, set()
        return found

    def mark_used(self, key: bytes) -> None:
        """Takes note that a key was executed again after the execution that introduced it."""
        if self.observer:
            self._used.add(key)

    def take_used(self) -> set[bytes]:
        """The keys that were executed again since the last call."""
        found = self._used.copy()
        self._used -= found
        return found

    def forget(self, key: bytes) -> None:
        """Forgets a key that is no longer in the map: if it comes back it is introduced again."""
        with self._lock:
            self._labels.pop(key, None)
            self._unnamed.pop(key, None)
