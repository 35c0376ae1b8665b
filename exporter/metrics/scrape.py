"""The collectors of a scrape. A collector that fails costs its own metrics only."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator

from exporter.metrics import definitions
from exporter.metrics.family import AnyFamily

log = logging.getLogger(__name__)


class Scrape:
    """Run the collectors one after the other, one scrape at a time; expose their duration and success."""

    def __init__(self, collectors: dict[str, Callable[[], Iterable[AnyFamily]]]) -> None:
        self._collectors = collectors
        self._failing: set[str] = set()
        self._lock = threading.Lock()

    @property
    def failing(self) -> tuple[str, ...]:
        """Collectors that failed in the last scrape."""
        return tuple(sorted(self._failing))

    def collect(self, wanted: Collection[str] | None = None) -> Iterator[AnyFamily]:
        """Yield the families of the wanted collectors, None: of all; those of a collector that fails are missing.

        The first collector always runs: it reads what the others show.
        """
        success, duration = definitions.COLLECTOR_SUCCESS.family(), definitions.COLLECTOR_DURATION.family()
        with self._lock:
            for number, (name, collector) in enumerate(self._collectors.items()):
                shown = wanted is None or name in wanted
                if number and not shown:
                    continue
                started = time.perf_counter()
                families = self._run(name, collector)
                if not shown:
                    continue
                duration.add_metric((name,), time.perf_counter() - started)
                success.add_metric((name,), int(families is not None))
                yield from families or ()
        yield from (success, duration)

    def _run(self, name: str, collector: Callable[[], Iterable[AnyFamily]]) -> list[AnyFamily] | None:
        try:
            families = list(collector())
        except Exception as error:
            if name not in self._failing:
                self._failing.add(name)
                log.error(
                    "collector %s fails: %s: %s", name, type(error).__name__, error, exc_info=log.isEnabledFor(10)
                )
            return None
        if name in self._failing:
            self._failing.remove(name)
            log.info("collector %s works again", name)
        return families
