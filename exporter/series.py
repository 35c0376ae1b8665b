"""From counts by key to counts by label set."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from exporter.label import Labels


class Series:
    """The series of exec_executions_total.

    Several keys may have the same labels, and a key that got its name late had others before. What a key was
    counted under stays there: only what has been added to it since goes to the labels it has now. So no series
    ever goes down, and their sum is the sum of the map.
    """

    def __init__(self) -> None:
        self._counted: dict[bytes, int] = {}
        self.executions: dict[Labels, int] = {}

    def update(self, counts: Iterable[tuple[bytes, int]], labels: Callable[[bytes], Labels]) -> None:
        """Adds what has been executed since the last time. `counts` are totals by key."""
        counted, executions = self._counted, self.executions
        for key, total in counts:
            added = total - counted.get(key, 0)
            if added:
                counted[key] = total
                name = labels(key)
                executions[name] = executions.get(name, 0) + added
