"""Labels of the probe's keys."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

from exporter.escape import LABEL_BYTES, is_shortened
from exporter.events.decode import DecodeError, Decoder
from exporter.events.labels import UNKNOWN, Labels, labels_of

log = logging.getLogger(__name__)

USED = 65536  # keys; a key beyond these is collected when it is executed again


def unchanged(labels: Labels) -> Labels:
    """Return labels as they are."""
    return labels


class Names:
    """Labels by raw key, from the records that introduced the keys.

    Labels are shortened: any user can give a file a long name. `shown` returns the labels that metrics have, which
    `rules` make of the whole ones, with at most `label_bytes`; those of shortened labels are stored, since they cannot
    be made again.

    With `track_used`, keys are collected for `take_used`. `unsaved` has the keys whose names are nowhere else, neither
    in a queue nor in the checkpoint. One thread at a time: callers hold the pipeline's lock.
    """

    def __init__(
        self,
        decoder: Decoder,
        rules: Callable[[Labels], Labels] = unchanged,
        label_bytes: int = LABEL_BYTES,
        *,
        track_used: bool = False,
    ) -> None:
        self._decoder, self._rules, self._label_bytes, self._track_used = decoder, rules, label_bytes, track_used
        self._labels: dict[bytes, Labels] = {}
        self._shown: dict[bytes, Labels] = {}  # of keys whose labels are shortened
        self._used: set[bytes] = set()
        self.unsaved: set[bytes] = set()
        self._renamed: set[bytes] = set()
        self.introduced = 0
        self.undecodable = 0

    def set_rules(self, rules: Callable[[Labels], Labels]) -> None:
        """Put other rules into force, but for keys whose labels are shortened: their whole names are gone."""
        self._rules = rules

    def preload(self, known: Mapping[bytes, Labels]) -> None:
        """Add labels of keys that will not be introduced again; introductions take precedence.

        Shortened labels are ignored, as what metrics have for them is unknown.
        """
        self.restore({key: labels for key, labels in known.items() if not any(map(is_shortened, labels))})

    def saved(self, key: bytes) -> tuple[str, ...] | None:
        """Return what `restore` needs of a key, None until it is introduced."""
        labels, shown = self._labels.get(key), self._shown.get(key)
        return labels and (*labels, *(shown[:2] if shown else ()))

    def restore(self, saved: Mapping[bytes, Sequence[str]]) -> None:
        """Add saved keys; introductions take precedence."""
        for key in saved.keys() - self._labels.keys():
            path, interpreter, stdin_type, *shown = saved[key]
            self._name(key, Labels(path, interpreter, stdin_type))
            if shown:
                self._shown[key] = Labels(shown[0], shown[1], stdin_type).shortened(self._label_bytes)

    def _name(self, key: bytes, labels: Labels) -> None:
        self._labels[key] = short = labels.shortened()
        self._shown.pop(key, None)
        if short != labels:
            self._shown[key] = self._rules(labels)
        self._renamed.add(key)

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
        self._name(introduction.key, labels_of(key, introduction))
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

    def shown(self, key: bytes) -> Labels:
        """Return the labels that metrics have for a key."""
        return self._shown.get(key) or self._rules(self.labels(key))

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
        self._shown.pop(key, None)
        self.unsaved.discard(key)
