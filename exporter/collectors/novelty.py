"""--collector.novelty: findings, the baseline and the catalogue."""

from __future__ import annotations

from collections.abc import Iterator

from exporter.catalogue.finding import Reason
from exporter.metrics import definitions
from exporter.metrics.definitions import BASELINE_STATES
from exporter.metrics.family import AnyFamily, RowFamily
from exporter.novelty.snapshot import NoveltySnapshot


def novelty_families(snapshot: NoveltySnapshot) -> Iterator[AnyFamily]:
    """Yield the metrics of a snapshot, with every reason and state from the first scrape."""
    novel, state = definitions.NOVEL.family(), definitions.BASELINE_STATE.family()
    for reason in Reason:
        novel.add_metric((reason,), snapshot.totals.get(reason, 0))
    for name in BASELINE_STATES:
        state.add_metric((name,), int(name == snapshot.state))
    yield novel
    yield RowFamily(definitions.NOVEL_FIRST_SEEN, dict(snapshot.open))
    yield state
    for metric, value in (
        (definitions.LEARNING_END, snapshot.learning_end),
        (definitions.FINDINGS_OPEN, snapshot.open_findings),
        (definitions.CATALOGUE_PROGRAMS, snapshot.programs),
        (definitions.CATALOGUE_EVICTIONS, snapshot.evictions),
        (definitions.CATALOGUE_ERRORS, snapshot.errors),
        (definitions.NOVELTY_DEFERRED, snapshot.deferred),
    ):
        family = metric.family()
        family.add_metric((), value)
        yield family


def novelty_off() -> Iterator[AnyFamily]:
    """Yield the metrics of novelty that is disabled."""
    return novelty_families(NoveltySnapshot("off", 0.0))
