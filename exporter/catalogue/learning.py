"""The time in which whatever runs is learnt: so long as the exporter was running, by a clock that nobody can set."""

from __future__ import annotations

import time
from collections.abc import Callable

from exporter.catalogue.catalogue import Catalogue

ELAPSED, OVER, LOST = "learning_seconds", "learning_ended", "lost"


class Learning:
    """Learns until `duration_seconds` have passed, restarts included; time in which nothing was watched is none.

    What has passed is kept in the catalogue. `clock` is in seconds and counts on while the machine sleeps.
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
        """Takes from the catalogue how far it is."""
        self._elapsed = float(catalogue.get(ELAPSED) or 0.0)
        self._ended = catalogue.get(OVER)
        self._lost = bool(catalogue.get(LOST))

    def restart(self) -> None:
        """Lets no time pass that was before now."""
        self._last = self._clock()

    def tick(self, catalogue: Catalogue) -> None:
        """Lets the time pass. In a transaction."""
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
        """Whether it is still learning."""
        return self._ended is None

    @property
    def state(self) -> str:
        """What exec_exporter_baseline_state says: `lost` is learning because what had been learnt is gone."""
        if self._ended is not None:
            return "watching"
        return "lost" if self._lost else "learning"

    @property
    def end(self) -> float:
        """When it ended, or will end if the exporter runs on, in seconds since the epoch."""
        if self._ended is not None:
            return self._ended
        return float(round(self._wall() + max(0.0, self._duration - self._elapsed)))


def end(catalogue: Catalogue, now: float) -> None:
    """Ends learning in a catalogue. In a transaction."""
    catalogue.set(OVER, now)
    catalogue.set(LOST, 0)
