"""What is done between scrapes: introductions are taken in as they come, the probe is told the time, room is made."""

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
SOON_SECONDS = 0.1  # where there is need; and never more than half of the time
MANY = RecordQueue.PARTS // 4  # new programs


class Housekeeping:
    """Keeps up a pipeline. What fails is logged once, until it works again.

    `judged` says how many records need no longer be kept for novelty; None: none need be.
    """

    def __init__(
        self,
        probe: Probe,
        pipeline: Pipeline,
        interval_seconds: float = INTERVAL_SECONDS,
        judged: Callable[[], int | None] = lambda: None,
    ) -> None:
        self._judged = judged
        self._probe, self._pipeline, self._interval_seconds = probe, pipeline, interval_seconds
        self._last, self._took = time.monotonic(), 0.0
        self._introduced = 0  # until then
        self._failing = False

    def run_once(self) -> None:
        """Waits for introductions or until the house is to be kept, and does what there is to do."""
        try:
            came = self._probe.wait(max(0.0, self._due() - time.monotonic()))
            if came:
                self._pipeline.names.update()
            if time.monotonic() >= self._due():
                self._evict()
            self._failing = False
        except Exception as error:
            if not self._failing:
                log.error(
                    "housekeeping fails: %s: %s", type(error).__name__, error, exc_info=log.isEnabledFor(logging.DEBUG)
                )
            self._failing = True

    def _evict(self) -> None:
        began, soon = time.thread_time(), self._soon
        self._introduced = self._pipeline.names.introduced
        try:
            self._probe.refresh_settings()
            self._pipeline.evict(room=soon)
            self._pipeline.release(self._judged())
        finally:
            self._last, self._took = time.monotonic(), time.thread_time() - began

    @property
    def _soon(self) -> bool:
        """Whether the map fills, or will soon: many new programs have come."""
        return self._pipeline.filling or self._pipeline.names.introduced - self._introduced > MANY

    def _due(self) -> float:
        """When the house is to be kept."""
        return self._last + (max(SOON_SECONDS, self._took) if self._soon else self._interval_seconds)


@contextmanager
def in_background(housekeeping: Housekeeping, probe: Probe) -> Iterator[None]:
    """Does it in a thread of its own."""
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
