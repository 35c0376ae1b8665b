"""Digests of file contents, limited in size and rate."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """How much is read at most of one file, in bytes, and in all, in bytes a second."""

    file_bytes: int = 256 << 20
    bytes_per_second: int = 64 << 20


class Throttle:
    """Lets so many bytes a second pass, after a burst of as many as pass in four seconds."""

    BURST_SECONDS = 4.0

    def __init__(
        self,
        bytes_per_second: int,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rate, self._clock, self._sleep = bytes_per_second, clock, sleep
        self._paid_until = clock() - self.BURST_SECONDS

    def take(self, count: int) -> None:
        """Waits until `count` bytes may pass."""
        now = self._clock()
        self._paid_until = max(self._paid_until, now - self.BURST_SECONDS) + count / self._rate
        if self._paid_until > now:
            self._sleep(self._paid_until - now)
