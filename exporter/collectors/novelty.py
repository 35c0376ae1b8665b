"""--collector.novelty: findings, the baseline and the catalogue."""

from __future__ import annotations

from collections.abc import Iterator

from exporter.catalogue.finding import Reason
from exporter.escape import LABEL_BYTES, shortened
from exporter.metrics import definitions
from exporter.metrics.definitions import BASELINE_STATES
from exporter.metrics.family import RowFamily
from exporter.novelty.snapshot import NoveltySnapshot


def novelty_families(snapshot: NoveltySnapshot, label_bytes: int = LABEL_BYTES) -> Iterator[RowFamily]:
    """Yield the metrics of a snapshot, with every reason and state from the first scrape."""
    shown = {
        (*names, shortened(path, label_bytes), shortened(interpreter, label_bytes)): first_seen
        for (*names, path, interpreter), first_seen in snapshot.open.items()
    }
    yield RowFamily(definitions.NOVEL, {(reason,): snapshot.totals.get(reason, 0) for reason in Reason})
    yield RowFamily(definitions.NOVEL_FIRST_SEEN, shown)
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
