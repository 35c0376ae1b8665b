"""The part of the metrics that a scrape asks for, as node_exporter and prometheus_client name it in a query."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import parse_qs

from exporter.metrics.definitions import COLLECTORS
from exporter.metrics.family import AnyFamily

SUFFIXES = ("", "_total", "_bucket", "_count", "_sum")
CREATED = "_created"


@dataclass(frozen=True)
class Selection:
    """Collectors to run, and names of metrics to show; None: all."""

    collectors: frozenset[str] | None = None
    names: frozenset[str] | None = None

    def shows(self, family: AnyFamily) -> bool:
        """Return True if some samples of a family are to be shown."""
        return self.names is None or any(family.name + suffix in self.names for suffix in SUFFIXES)

    def of(self, family: AnyFamily, text: str) -> str:
        """Return the text of a family with only the samples to be shown, and their created timestamps."""
        if self.names is None or family.name in self.names:
            return text
        wanted = {*self.names, family.name + CREATED}
        kept = [
            line
            for line in text.split("\n")
            if line.startswith("#") or line.partition(" ")[0].partition("{")[0] in wanted
        ]
        return "\n".join([*kept, ""])


ALL = Selection()


def parse(query: str, enabled: Collection[str]) -> Selection:
    """Return what a query asks for with collect[], exclude[] and name[]. Raise ValueError for what cannot be shown."""
    given = parse_qs(query, keep_blank_values=True)
    collect, exclude, names = (frozenset(given.get(f"{name}[]", ())) for name in ("collect", "exclude", "name"))
    if collect and exclude:
        raise ValueError("collect[] and exclude[] cannot be combined")
    unknown = (collect | exclude) - COLLECTORS.keys()
    if unknown:
        raise ValueError(f"unknown collector {min(unknown)[:100]!a}: give one of {', '.join(COLLECTORS)}")
    if disabled := collect - set(enabled):
        raise ValueError(f"the collector {min(disabled)} is disabled")
    collectors = collect or (frozenset(enabled) - exclude if exclude else None)
    return Selection(collectors, names or None)
