"""Executions by trait, and the label sets in which each trait was seen last."""

from __future__ import annotations

from exporter.events.labels import Labels
from exporter.events.traits import TRAITS
from exporter.metrics.tracked_dict import Changes, Tables, TrackedDict

NEWEST = 100


class TraitTotals:
    """Executions by trait, and the newest label sets with a trait."""

    def __init__(self) -> None:
        self.counts = dict.fromkeys(TRAITS, 0)
        self._last: TrackedDict[tuple[str, ...], float] = TrackedDict()

    def add(self, traits: tuple[str, ...], labels: Labels, executions: int, time: float) -> None:
        """Add executions with these traits, the last of them at a Unix time."""
        for trait in traits:
            self.counts[trait] += executions
            self._last[trait, *labels] = time
        if len(self._last) > 2 * NEWEST:
            for seen in self._last.keys() - self.last_seen().keys():
                del self._last[seen]

    def last_seen(self) -> dict[tuple[str, ...], float]:
        """Return the newest NEWEST times by trait and label set, in seconds since the epoch."""
        newest = sorted(self._last.items(), key=lambda item: item[1])[-NEWEST:]
        return dict(newest)

    def changes(self, *, whole: bool) -> Changes:
        """Return the tables for `restore`: the changes since the last call, or everything."""
        return {"traits": [*self.counts.items()], "last": [*self._last.changes(whole=whole)]}

    def restore(self, tables: Tables, label_bytes: int) -> None:
        """Continue from saved tables, with labels of at most so many bytes."""
        self.counts.update({trait: count for trait, count in tables["traits"].items() if trait in self.counts})
        for (trait, *labels), time in tables["last"].items():
            if trait in self.counts:
                self._last[trait, *Labels(*labels).shortened(label_bytes)] = time
