"""Token bucket for requests."""

from __future__ import annotations

import math
import time
from collections.abc import Callable


class RateLimit:
    """Allow `burst` requests at once and one per `interval` seconds, like Go's x/time/rate; 0: no limit."""

    def __init__(self, burst: int, interval: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.burst, self.interval = burst, interval
        self._clock = clock
        self._tokens, self._at = float(burst), clock()

    def allow(self) -> bool:
        """Return True if one more request is within the limit, and count it."""
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
        """Return the seconds until the next request is allowed, at least 1, for Retry-After."""
        return max(1, math.ceil((1 - self._tokens) * self.interval))
