"""The collector of what novelty has to show."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from exporter.catalogue.finding import Reason
from exporter.metrics import definitions
from exporter.metrics.definitions import BASELINE_STATES
from exporter.metrics.family import AnyFamily, RowFamily
from exporter.novelty.snapshot import NoveltySnapshot

OFF = NoveltySnapshot("off", 0.0)


class NoveltyCollector:
    """Shows a view."""

    def __init__(self, view: Callable[[], NoveltySnapshot]) -> None:
        self._view = view

    def collect(self) -> Iterator[AnyFamily]:
        """Every reason and state is there from the first scrape."""
        view = self._view()
        novel, state = definitions.NOVEL.family(), definitions.BASELINE_STATE.family()
        for reason in Reason:
            novel.add_metric((reason,), view.totals.get(reason, 0))
        for name in BASELINE_STATES:
            state.add_metric((name,), int(name == view.state))
        yield novel
        yield RowFamily(definitions.NOVEL_FIRST_SEEN, dict(view.open))
        yield state
        for metric, value in (
            (definitions.LEARNING_END, view.learning_end),
            (definitions.FINDINGS_OPEN, view.open_findings),
            (definitions.CATALOGUE_PROGRAMS, view.programs),
            (definitions.CATALOGUE_EVICTIONS, view.evictions),
            (definitions.CATALOGUE_ERRORS, view.errors),
            (definitions.NOVELTY_DEFERRED, view.deferred),
        ):
            family = metric.family()
            family.add_metric((), value)
            yield family


def novelty_off() -> Iterator[AnyFamily]:
    """What there is to show where nothing is found novel."""
    return NoveltyCollector(lambda: OFF).collect()
