"""The collector of what novelty has to show."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from exporter import metrics
from exporter.classify import Reason
from exporter.metrics import BASELINE_STATES
from exporter.table import AnyFamily, Table
from exporter.view import View

OFF = View("off", 0.0)


class NoveltyCollector:
    """Shows a view."""

    def __init__(self, view: Callable[[], View]) -> None:
        self._view = view

    def collect(self) -> Iterator[AnyFamily]:
        """Every reason and state is there from the first scrape."""
        view = self._view()
        novel, state = metrics.NOVEL.family(), metrics.BASELINE_STATE.family()
        for reason in Reason:
            novel.add_metric((reason,), view.totals.get(reason, 0))
        for name in BASELINE_STATES:
            state.add_metric((name,), int(name == view.state))
        yield novel
        yield Table(metrics.NOVEL_FIRST_SEEN, dict(view.open))
        yield state
        for metric, value in (
            (metrics.LEARNING_END, view.learning_end),
            (metrics.FINDINGS_OPEN, view.open_findings),
            (metrics.CATALOGUE_PROGRAMS, view.programs),
            (metrics.CATALOGUE_EVICTIONS, view.evictions),
            (metrics.CATALOGUE_ERRORS, view.errors),
            (metrics.NOVELTY_DEFERRED, view.deferred),
        ):
            family = metric.family()
            family.add_metric((), value)
            yield family


def novelty_off() -> Iterator[AnyFamily]:
    """What there is to show where nothing is found novel."""
    return NoveltyCollector(lambda: OFF).collect()
