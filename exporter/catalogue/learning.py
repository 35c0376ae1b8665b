"""Learning: for a given time of running, every executed program joins the baseline."""

from __future__ import annotations

import time
from collections.abc import Callable

from exporter.catalogue.catalogue import Catalogue

ELAPSED, OVER, LOST = "learning_seconds", "learning_ended", "lost"


class Learning:
    """Progress of learning, which lasts until the exporter has run for `duration_seconds`, over all restarts.

    The progress is stored in the catalogue. `clock` is in seconds; it advances while the machine sleeps, and nobody can
    set it. One thread at a time.
    """

    def __init__(
        self,
        duration_seconds: float,
        clock: Callable[[], float] = lambda: time.clock_gettime(time.CLOCK_BOOTTIME),
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._duration, self._clock, self._wall = duration_seconds, clock, wall
        self._last = clock()
        self._elapsed = 0.0
        self._ended: float | None = None
        self._lost = False

    def load(self, catalogue: Catalogue) -> None:
        """Load the progress from a catalogue. Raise sqlite3.Error."""
        self._elapsed = float(catalogue.get(ELAPSED) or 0.0)
        self._ended = catalogue.get(OVER)
        self._lost = bool(catalogue.get(LOST))

    def tick(self, catalogue: Catalogue) -> None:
        """Add the time since the last call, in a transaction. Raise sqlite3.Error."""
        now = self._clock()
        passed, self._last = max(0.0, now - self._last), now
        self.load(catalogue)
        if self._ended is not None:
            return
        self._elapsed += passed
        catalogue.set(ELAPSED, self._elapsed)
        if self._elapsed >= self._duration:
            end(catalogue, self._wall())
            self.load(catalogue)

    @property
    def active(self) -> bool:
        """True until learning has ended."""
        return self._ended is None

    @property
    def state(self) -> str:
        """Label value of exec_exporter_baseline_state; `lost` is learning again after the catalogue was lost."""
        if self._ended is not None:
            return "watching"
        return "lost" if self._lost else "learning"

    @property
    def end(self) -> float:
        """When learning ended, or will end if the exporter keeps running, in seconds since the epoch."""
        if self._ended is not None:
            return self._ended
        return float(round(self._wall() + max(0.0, self._duration - self._elapsed)))


def end(catalogue: Catalogue, now: float) -> None:
    """End learning in a catalogue, in a transaction. Raise sqlite3.Error."""
    catalogue.set(OVER, now)
    catalogue.set(LOST, 0)
