"""Ends work that waits for files or commands when the exporter stops."""

from __future__ import annotations

import threading


class Interrupted(Exception):
    """The exporter stops: the work was given up and can be repeated."""


class Interruption:
    """Asks the thread that works to give up, from any other thread and for good."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """Make every `check` and `sleep` raise Interrupted, also those under way."""
        self._event.set()

    def check(self) -> None:
        """Raise Interrupted once `set` was called."""
        self.sleep(0.0)

    def sleep(self, seconds: float) -> None:
        """Wait. Raise Interrupted as soon as `set` was called."""
        if self._event.wait(seconds):
            raise Interrupted
