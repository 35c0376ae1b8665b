"""Bounded sets of series: totals that never decrease, and levels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from exporter.metrics.tracked_dict import Changes, Tables, TrackedDict

OTHER = "other"

L = TypeVar("L")


class Limit:
    """Maximum number of label sets of all metrics with a path together."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.used = 0

    def take(self, number: int) -> bool:
        """Reserve room for label sets, and return True, if there is room for all of them."""
        if self.used + number > self.most:
            return False
        self.used += number
        return True

    def use(self, number: int) -> None:
        """Reserve room for label sets that exist already, even beyond the limit."""
        self.used += number

    def give_back(self, number: int) -> None:
        """Release room."""
        self.used -= number


class Totals(Generic[L]):
    """Sums by label set: `rows` has a list of `width` numbers for each. A row takes the room of `sets` label sets.

    New label sets without room are added to `other(labels)`, which always has room; `folded` is the sum of their first
    numbers. `created` has the Unix time at which rows were 0, but not of rows that older builds have saved. Existing
    label sets are never folded. They expire when idle; `expired` is the sum of the first numbers of
    expired rows. So the first numbers of all rows and `expired` are together what was ever added, and no row decreases.
    """

    def __init__(self, limit: Limit, other: Callable[[L], L], width: int = 1, sets: int = 1) -> None:
        self._limit, self._other, self._width, self._sets = limit, other, width, sets
        self._changed: TrackedDict[L, float] = TrackedDict()
        self.rows: dict[L, list[int]] = {}
        self.created: TrackedDict[L, float] = TrackedDict()
        self.folded = 0
        self.expired = 0
        self.changed_rows = False  # set when a row is added or expires; callers reset it

    def add(self, labels: L, numbers: Sequence[int], now: float, since: float) -> None:
        """Add numbers to a label set. `now` is in any unit, the same as for `expire`.

        `since` is the Unix time before which nothing of the numbers was counted.
        """
        row = self.rows.get(labels)
        if row is None:
            row, labels = self._new(labels, numbers[0], since)
        self._changed[labels] = now
        for index, number in enumerate(numbers):
            row[index] += number

    def _new(self, labels: L, first: int, since: float) -> tuple[list[int], L]:
        other = self._other(labels)
        if labels != other and not self._limit.take(self._sets):
            self.folded += first
            labels = other
        if labels not in self.rows:
            self.rows[labels], self.created[labels] = [0] * self._width, round(since, 3)
            self.changed_rows = True
        return self.rows[labels], labels

    def changes(self, *, whole: bool) -> Changes:
        """Return the tables for `restore`: the changes since the last call, or everything."""
        changed = self._changed.changes(whole=whole)
        return {
            "rows": [(labels, None if now is None else (self.rows[labels], now)) for labels, now in changed],
            "created": [*self.created.changes(whole=whole)],
            "sums": [("folded", self.folded), ("expired", self.expired)],
        }

    def restore(self, tables: Tables, labels_of: Callable[[Any], L]) -> None:
        """Continue from saved tables; `labels_of` converts saved label sets, strings or lists."""
        self.folded, self.expired = tables["sums"]["folded"], tables["sums"]["expired"]
        created = tables.get("created", {})
        for saved, (row, changed) in tables["rows"].items():
            labels = labels_of(saved)
            self.rows[labels], self._changed[labels] = list(row), changed
            if saved in created:
                self.created[labels] = created[saved]
            if labels != self._other(labels):
                self._limit.use(self._sets)

    def expire(self, before: float) -> None:
        """Remove rows that nothing was added to since then. If something is added later, they restart from 0."""
        for labels in [labels for labels, changed in self._changed.items() if changed < before]:
            if labels == self._other(labels):
                continue
            self.changed_rows = True
            self.expired += self.rows.pop(labels)[0]
            del self._changed[labels]
            if labels in self.created:
                del self.created[labels]
            self._limit.give_back(self._sets)


class Levels(Generic[L]):
    """Numbers that go up and down: `rows` has the present ones, and 0 for label sets seen a while ago."""

    def __init__(self, limit: Limit, other: L) -> None:
        self._limit, self._other = limit, other
        self._seen: TrackedDict[L, float] = TrackedDict()
        self.rows: dict[L, int] = {}

    def set(self, numbers: Mapping[L, int], now: float) -> None:
        """Set the present numbers; new label sets without room are added to `other`."""
        rows = dict.fromkeys(self._seen, 0)
        for labels, number in numbers.items():
            if labels not in rows and labels != self._other and not self._limit.take(1):
                labels = self._other
            rows[labels] = rows.get(labels, 0) + number
            self._seen[labels] = now
        self.rows = rows

    def changes(self, *, whole: bool) -> Changes:
        """Return the tables for `restore`: the label sets that have changed since the last call, or all."""
        return {"running": [*self._seen.changes(whole=whole)]}

    def restore(self, tables: Tables, labels_of: Callable[[Any], L]) -> None:
        """Reserve room for saved label sets, converted by `labels_of`; their numbers are 0 until they are set."""
        for saved, seen in tables["running"].items():
            labels = labels_of(saved)
            self._seen[labels] = seen
            if labels != self._other:
                self._limit.use(1)

    def expire(self, before: float) -> None:
        """Remove label sets that were not seen since then."""
        for labels in [labels for labels, seen in self._seen.items() if seen < before and labels != self._other]:
            del self._seen[labels]
            self.rows.pop(labels, None)
            self._limit.give_back(1)
