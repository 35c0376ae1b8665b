"""--collector.novelty: findings, the baseline and the catalogue."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from exporter.catalogue.finding import Reason
from exporter.events.labels import Labels
from exporter.events.names import unchanged
from exporter.metrics import definitions
from exporter.metrics.definitions import BASELINE_STATES
from exporter.metrics.family import RowFamily
from exporter.novelty.snapshot import NoveltySnapshot


def novelty_families(snapshot: NoveltySnapshot, rules: Callable[[Labels], Labels] = unchanged) -> Iterator[RowFamily]:
    """Yield the metrics of a snapshot, with every reason and state from the first scrape.

    `rules` return the labels that metrics have: a finding has those under which its executions are counted.
    """
    open_findings = {}
    for (number, reason, path, interpreter), first_seen in snapshot.open.items():
        shown = rules(Labels(path, interpreter, ""))
        open_findings[number, reason, shown.path, shown.interpreter] = first_seen
    yield RowFamily(definitions.NOVEL, {(reason,): snapshot.totals.get(reason, 0) for reason in Reason})
    yield RowFamily(definitions.NOVEL_FIRST_SEEN, open_findings)
    yield RowFamily(definitions.BASELINE_STATE, {(name,): int(name == snapshot.state) for name in BASELINE_STATES})
    yield RowFamily(definitions.LEARNING_END, {(): snapshot.learning_end})
    yield RowFamily(definitions.FINDINGS_OPEN, {(): snapshot.open_findings})
    yield RowFamily(definitions.CATALOGUE_PROGRAMS, {(): snapshot.programs})
    yield RowFamily(definitions.CATALOGUE_EVICTIONS, {(): snapshot.evictions})
    yield RowFamily(definitions.CATALOGUE_ERRORS, {(): snapshot.errors})
    yield RowFamily(definitions.NOVELTY_DEFERRED, {(): snapshot.deferred})


def novelty_off() -> Iterator[RowFamily]:
    """Yield the metrics of novelty that is disabled."""
    return novelty_families(NoveltySnapshot("off", 0.0))
