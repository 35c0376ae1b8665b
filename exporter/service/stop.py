"""Signals to the service: the end, at SIGTERM or SIGINT, in bounded time; and SIGHUP to reload."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue

import psutil

from exporter.errors import FAILED

log = logging.getLogger(__name__)

EXIT_SECONDS = 4.5  # after the signal, if anything hangs; everything that is pinned or in the catalogue survives that
STARVED_SECONDS = 10.0  # at most added, for the time in which threads, or CPUs, could run but were not given the time
LOOK_SECONDS = 0.1  # between two looks at that time


class Stop:
    """The signals to stop. Make it in the main thread.

    Until `running` they raise KeyboardInterrupt there: a start that is cut short is repaired by the next one. From then
    on they end `wait`, and the process, by a thread that sees the signal even if the main thread hangs. SIGHUP calls
    `reload`, one that came during the start as well.
    """

    SIGNALS = (signal.SIGTERM, signal.SIGINT)

    def __init__(self) -> None:
        self.reload: Callable[[], object] = lambda: None
        self._received: SimpleQueue[int] = SimpleQueue()  # unlike an Event, safe in a handler that interrupts its wait
        for number in self.SIGNALS:
            signal.signal(number, signal.default_int_handler)
        signal.signal(signal.SIGHUP, self._receive)

    def running(self) -> None:
        """Note that the start is complete."""
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        threading.Thread(target=_exit_in_time, args=(reading,), name="stop", daemon=True).start()
        for number in self.SIGNALS:
            signal.signal(number, self._receive)

    def _receive(self, number: int, _: object) -> None:
        self._received.put(number)

    def wait(self, timeout_seconds: float | None = None) -> bool:
        """Wait for a signal; return True if it is one to stop, False after a reload or if the time is over."""
        try:
            number = self._received.get(timeout=timeout_seconds)
        except Empty:
            return False
        if number == signal.SIGHUP:
            self.reload()
        return number in self.SIGNALS


def _exit_in_time(signals: int) -> None:
    """Wait for a signal to stop, whose number is read, and end the process if it does not end by itself."""
    while os.read(signals, 1)[0] not in Stop.SIGNALS:
        pass
    began, waited, starved = time.monotonic(), _waited_seconds(), 0.0
    while time.monotonic() - began < EXIT_SECONDS + min(starved, STARVED_SECONDS):
        time.sleep(LOOK_SECONDS)
        before, waited = waited, _waited_seconds()
        starved += sum(seconds - before.get(thread, 0.0) for thread, seconds in waited.items())
    log.error("still not stopped %.1f s after the signal: exiting without waiting any longer", time.monotonic() - began)
    os._exit(FAILED)


def _waited_seconds() -> dict[str, float]:
    """Return the seconds that each thread has waited for a CPU, and each CPU for the hypervisor, as the kernel says."""
    found: dict[str, float] = {}
    with contextlib.suppress(OSError):
        found.update((f"cpu{number}", cpu.steal) for number, cpu in enumerate(psutil.cpu_times(percpu=True)))
    for thread in Path("/proc/self/task").glob("*/schedstat"):
        with contextlib.suppress(OSError, IndexError):
            found[thread.parent.name] = int(thread.read_bytes().split()[1]) / 1e9
    return found
