"""The collectors of a scrape. One that fails costs nothing but its own metrics."""

from __future__ import annotations

import logging
import platform
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from prometheus_client.core import Metric as Exposed
from prometheus_client.registry import Collector

from exporter import __version__, metrics
from exporter.catalogue import Catalogue
from exporter.event import LOSS_CAUSES
from exporter.fields import FIELDS, unavailable
from exporter.kernel_types import Feature
from exporter.metrics import Family
from exporter.series import Series
from exporter.table import AnyFamily, Table

log = logging.getLogger(__name__)


class Source(Protocol):
    """What collectors ask of the probe."""

    attached: bool
    bcc_version: str
    missing: tuple[Feature, ...]

    @property
    def capacity(self) -> int:
        """Entries that the map of executions can have."""
        ...

    def entries(self) -> Iterable[tuple[bytes, bytes]]:
        """Raw keys and values of the map of executions."""
        ...

    def counters(self) -> dict[str, int]:
        """The probe's counters by name."""
        ...


class ExecutionsCollector:
    """What was executed, and how full the map is that says so."""

    def __init__(self, source: Source, catalogue: Catalogue, executions: Callable[[bytes], int]) -> None:
        self._source = source
        self._catalogue = catalogue
        self._executions = executions
        self._series = Series()

    def collect(self) -> Iterator[AnyFamily]:
        """Reads the map first and the introductions after it, so that what was read has its name."""
        counts = [(key, self._executions(value)) for key, value in self._source.entries()]
        self._catalogue.update()
        self._series.update(counts, self._catalogue.labels)

        yield Table(metrics.EXECUTIONS, dict(self._series.executions))
        entries, capacity, series = (
            metric.family() for metric in (metrics.MAP_ENTRIES, metrics.MAP_CAPACITY, metrics.SERIES)
        )
        entries.add_metric(("execs",), len(counts))
        capacity.add_metric(("execs",), self._source.capacity)
        series.add_metric((), len(self._series.executions))
        yield from (entries, capacity, series)


class ProbeCollector:
    """How the probe is doing. Asked after the executions: runs are never fewer than what they led to."""

    def __init__(self, source: Source, catalogue: Catalogue) -> None:
        self._source = source
        self._catalogue = catalogue

    def collect(self) -> Iterator[Family]:
        """The probe's counters and state, and the versions of what runs."""
        counters = self._source.counters()
        lost = metrics.LOST.family()
        for cause in LOSS_CAUSES:
            lost.add_metric((cause,), counters[f"COUNTER_LOST_{cause.upper()}"])
        yield lost
        for metric, value in (
            (metrics.PROBE_RUNS, counters["COUNTER_PROBE_RUNS"]),
            (metrics.DEFERRED, counters["COUNTER_RECORDS_REFUSED"]),
            (metrics.UNDECODABLE, self._catalogue.undecodable),
            (metrics.PROBE_ATTACHED, int(self._source.attached)),
        ):
            family = metric.family()
            family.add_metric((), value)
            yield family
        available = metrics.FIELD_AVAILABLE.family()
        lacking = unavailable(self._source.missing)
        for field in FIELDS:
            available.add_metric((field,), int(field not in lacking))
        yield available
        build = metrics.BUILD_INFO.family()
        build.add_metric((__version__, platform.python_version(), self._source.bcc_version), 1)
        yield build


class Scrape(Collector):
    """Runs the collectors one after the other, one scrape at a time, and says how each did."""

    def __init__(self, collectors: dict[str, Callable[[], Iterable[AnyFamily]]]) -> None:
        self._collectors = collectors
        self._failing: set[str] = set()
        self._lock = threading.Lock()

    @property
    def failing(self) -> tuple[str, ...]:
        """The collectors that failed when they were last run."""
        return tuple(sorted(self._failing))

    def describe(self) -> Iterable[Exposed]:
        """Empty families: registering must not read the kernel."""
        return [metric.family() for metric in metrics.METRICS]

    def collect(self) -> Iterator[AnyFamily]:  # type: ignore[override] # a Table has what is asked of a family
        """All families. Of a collector that fails there are none."""
        success, duration = metrics.COLLECTOR_SUCCESS.family(), metrics.COLLECTOR_DURATION.family()
        with self._lock:
            for name, collector in self._collectors.items():
                started = time.perf_counter()
                families = self._run(name, collector)
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
