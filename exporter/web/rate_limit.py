"""A token bucket for requests."""

from __future__ import annotations

import math
import time
from collections.abc import Callable


class RateLimit:
    """Lets `burst` requests through at once and one each `interval` seconds, as Go's x/time/rate; 0 for no limit."""

    def __init__(self, burst: int, interval: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.burst, self.interval = burst, interval
        self._clock = clock
        self._tokens, self._at = float(burst), clock()

    def allow(self) -> bool:
        """Whether one more request is within the limit."""
        if not self.interval:
            return True
        now = self._clock()
        self._tokens = min(self.burst, self._tokens + (now - self._at) / self.interval)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def seconds_to_wait(self) -> int:
        """When to come back, for Retry-After."""
        return max(1, math.ceil((1 - self._tokens) * self.interval))
