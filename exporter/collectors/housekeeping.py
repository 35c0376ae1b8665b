"""Work between scrapes: records leave the ring buffer, the probe is verified and refreshed, maps get room."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from exporter.collectors.pipeline import Pipeline
from exporter.probe.probe import Probe
from exporter.probe.record_queue import RecordQueue

log = logging.getLogger(__name__)

INTERVAL_SECONDS = 15.0
SOON_SECONDS = 0.1  # between evictions if there is need; they take at most half of the time
MANY = RecordQueue.PARTS // 4  # new programs


class Housekeeping:
    """Housekeeping of a pipeline. Failures are logged once until it works again. One thread at a time."""

    def __init__(
        self,
        probe: Probe,
        pipeline: Pipeline,
        interval_seconds: float = INTERVAL_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._probe, self._pipeline = probe, pipeline
        self._interval_seconds, self._clock = interval_seconds, clock
        self._last, self._took = clock(), 0.0
        self._introduced = 0  # keys, before the last eviction
        self._failing: set[str] = set()

    def run_once(self) -> None:
        """Wait for records or for the next eviction, and do the work that is due."""
        self._do("records", self._drain)
        if self._clock() < self._due():
            return
        began, soon = time.thread_time(), self._soon
        self._introduced = self._pipeline.introduced
        self._do("verification", self._probe.verify)
        self._do("settings", self._probe.refresh_settings)
        self._do("eviction", lambda: self._pipeline.evict(room=soon))
        self._do("acknowledgement", self._pipeline.acknowledge)
        self._last, self._took = self._clock(), time.thread_time() - began

    def _do(self, name: str, work: Callable[[], None]) -> None:
        try:
            work()
            self._failing.discard(name)
        except Exception as error:
            if name not in self._failing:
                text, debugging = f"{type(error).__name__}: {error}", log.isEnabledFor(logging.DEBUG)
                log.error("housekeeping fails (%s): %s", name, text, exc_info=debugging)
            self._failing.add(name)

    def _drain(self) -> None:
        if self._probe.wait(max(0.0, self._due() - self._clock())):
            self._pipeline.drain()

    @property
    def _soon(self) -> bool:
        """True if the map fills, or will soon: many new programs have come."""
        return self._pipeline.filling or self._pipeline.introduced - self._introduced > MANY

    def _due(self) -> float:
        return self._last + (max(SOON_SECONDS, self._took) if self._soon else self._interval_seconds)


@contextmanager
def in_background(housekeeping: Housekeeping, probe: Probe) -> Iterator[None]:
    """Run housekeeping in a background thread."""
    stop = threading.Event()

    def run() -> None:
        while not stop.is_set():
            housekeeping.run_once()

    thread = threading.Thread(target=run, name="housekeeping", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        probe.interrupt()
        thread.join()
