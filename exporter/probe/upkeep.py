"""Verification that the probe counts: attachments and pins are as the exporter made them."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Mapping

from exporter.errors import ExporterError
from exporter.kernel.bpffs import PinsUnavailable
from exporter.probe.attachments import Attachments

log = logging.getLogger(__name__)

SLOT, PIN = OBJECTS = "slot", "pin"
NAMED = 3  # names in a log line


class Upkeep:
    """Verifies attachments, and restores what others have changed.

    A dispatcher is attached by a link that the exporter holds, which nobody can detach, and calls the program in its
    slot. So executions are counted if the slot has the program of this probe. `counting` and `pinned` are the result of
    the last `verify`, `repairs` the number of restored objects of each kind. For all threads.
    """

    def __init__(self, attachments: Attachments, programs: Mapping[str, int]) -> None:
        self._attachments, self._programs = attachments, programs
        self._lock = threading.Lock()
        self._failing: set[str] = set()
        self.repairs: Counter[str] = Counter(dict.fromkeys(OBJECTS, 0))
        self.counting = self.pinned = True

    def verify(self) -> None:
        """Verify, and restore where necessary. Failures and repairs are logged."""
        with self._lock:
            slots = lambda: self._attachments.restore_slots(self._programs)  # noqa: E731
            self.counting = self._restore(SLOT, slots, "executions are not counted", "some executions were not counted")
            pins = self._attachments.restore_pins
            self.pinned = self._restore(PIN, pins, "counting ends with the exporter", "no execution was lost")

    def _restore(self, kind: str, restore: Callable[[], list[str]], failing: str, restored: str) -> bool:
        try:
            names = restore()
        except (OSError, PinsUnavailable, ExporterError) as error:
            if kind not in self._failing:
                log.error("a %s was changed by others and cannot be restored (%s): %s", kind, error, failing)
            self._failing.add(kind)
            return False
        self._failing.discard(kind)
        self.repairs[kind] += len(names)
        if names:
            others = f" and {len(names) - NAMED} others" if len(names) > NAMED else ""
            log.warning("changed by others, and restored: %s%s; %s", ", ".join(names[:NAMED]), others, restored)
        return True
