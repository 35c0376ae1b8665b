"""How often each trait was seen, and where last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from exporter.label import Labels
from exporter.traits import TRAITS

NEWEST = 100


class TraitTotals:
    """Executions by trait, and the label sets that had one most recently."""

    def __init__(self) -> None:
        self.counts = dict.fromkeys(TRAITS, 0)
        self._last: dict[tuple[str, str, str, str], float] = {}

    def add(self, traits: tuple[str, ...], labels: Labels, executions: int, time_ns: int) -> None:
        """Adds executions with these traits, the last of them at `time_ns` since the epoch."""
        for trait in traits:
            self.counts[trait] += executions
            self._last[trait, *labels] = time_ns / 1e9
        if len(self._last) > 2 * NEWEST:
            self._last = self.last_seen()

    def last_seen(self) -> dict[tuple[str, str, str, str], float]:
        """When each trait was last seen at each label set, in seconds since the epoch; the newest NEWEST."""
        newest = sorted(self._last.items(), key=lambda item: item[1])[-NEWEST:]
        return dict(newest)

    def state(self) -> dict[str, Any]:
        """Everything, as `restore` takes it back."""
        return {"counts": self.counts, "last": [[*labels, time] for labels, time in self._last.items()]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from a state."""
        self.counts.update({trait: count for trait, count in state["counts"].items() if trait in self.counts})
        self._last = {(trait, *labels): time for trait, *labels, time in state["last"] if trait in self.counts}
