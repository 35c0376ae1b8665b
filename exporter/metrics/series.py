"""Series that only grow, and no more of them than there may be."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from exporter.metrics.tracked_dict import Changes, Tables, TrackedDict

OTHER = "other"

L = TypeVar("L")


class Limit:
    """How many label sets all metrics with a path may have together."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.used = 0

    def take(self, number: int) -> bool:
        """Takes room for so many label sets, if there is that much."""
        if self.used + number > self.most:
            return False
        self.used += number
        return True

    def use(self, number: int) -> None:
        """Takes room, whether there is any or not: for what was there already."""
        self.used += number

    def give_back(self, number: int) -> None:
        """Gives room back."""
        self.used -= number


class Totals(Generic[L]):
    """Sums of numbers by label set: `rows` has a list of `width` numbers for each.

    A label set that comes when there is no room is added to `other(labels)`, which always has room: `folded` is what
    was added there of the first number. A label set that exists stays what it is until nothing was added to it for a
    while; `expired` is what those had of the first number that are gone. So the first numbers of all rows and
    `expired` are together what was ever added, and no row ever goes down. A row takes the room of `sets` label sets.
    """

    def __init__(self, limit: Limit, other: Callable[[L], L], width: int = 1, sets: int = 1) -> None:
        self._limit, self._other, self._width, self._sets = limit, other, width, sets
        self._changed: TrackedDict[L, float] = TrackedDict()
        self.rows: dict[L, list[int]] = {}
        self.folded = 0
        self.expired = 0
        self.changed_rows = False  # whether there are other rows than when this was last set to false

    def add(self, labels: L, numbers: Sequence[int], now: float) -> None:
        """Adds to a label set. `now` is in seconds of any clock."""
        row = self.rows.get(labels)
        if row is None:
            row, labels = self._new(labels, numbers[0])
        self._changed[labels] = now
        for index, number in enumerate(numbers):
            row[index] += number

    def _new(self, labels: L, first: int) -> tuple[list[int], L]:
        other = self._other(labels)
        if labels != other and not self._limit.take(self._sets):
            self.folded += first
            labels = other
        self.changed_rows |= labels not in self.rows
        return self.rows.setdefault(labels, [0] * self._width), labels

    def changes(self, *, whole: bool) -> Changes:
        """What has changed since the last call, or everything, for `restore`. Label sets are strings or tuples."""
        changed = self._changed.changes(whole=whole)
        return {
            "rows": [(labels, None if now is None else (self.rows[labels], now)) for labels, now in changed],
            "sums": [("folded", self.folded), ("expired", self.expired)],
        }

    def restore(self, tables: Tables, labels_of: Callable[[Any], L]) -> None:
        """Goes on from what was saved; `labels_of` makes label sets of what came back of them."""
        self.folded, self.expired = tables["sums"]["folded"], tables["sums"]["expired"]
        for saved, (row, changed) in tables["rows"].items():
            labels = labels_of(saved)
            self.rows[labels], self._changed[labels] = list(row), changed
            if labels != self._other(labels):
                self._limit.use(self._sets)

    def expire(self, before: float) -> None:
        """Ends the series that nothing was added to since then. What is added to them later starts new ones at 0."""
        for labels in [labels for labels, changed in self._changed.items() if changed < before]:
            if labels == self._other(labels):
                continue
            self.changed_rows = True
            self.expired += self.rows.pop(labels)[0]
            del self._changed[labels]
            self._limit.give_back(self._sets)


class Levels(Generic[L]):
    """Numbers by label set that go up and down: `rows` has those of now, and 0 for what was there a while ago."""

    def __init__(self, limit: Limit, other: L) -> None:
        self._limit, self._other = limit, other
        self._seen: TrackedDict[L, float] = TrackedDict()
        self.rows: dict[L, int] = {}

    def set(self, numbers: Mapping[L, int], now: float) -> None:
        """Takes the numbers of now; label sets for which there is no room are added up."""
        rows = dict.fromkeys(self._seen, 0)
        for labels, number in numbers.items():
            if labels not in rows and labels != self._other and not self._limit.take(1):
                labels = self._other
            rows[labels] = rows.get(labels, 0) + number
            self._seen[labels] = now
        self.rows = rows

    def changes(self, *, whole: bool) -> Changes:
        """The label sets that take room, or those of which that has changed since the last call, for `restore`."""
        return {"running": [*self._seen.changes(whole=whole)]}

    def restore(self, tables: Tables) -> None:
        """Takes room for label sets that were saved, of which there is none until numbers come."""
        for labels, seen in tables["running"].items():
            self._seen[labels] = seen
            if labels != self._other:
                self._limit.use(1)

    def expire(self, before: float) -> None:
        """Ends the series of what has not been there since then."""
        for labels in [labels for labels, seen in self._seen.items() if seen < before and labels != self._other]:
            del self._seen[labels]
            self.rows.pop(labels, None)
            self._limit.give_back(1)
