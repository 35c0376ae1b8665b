"""Novelty's thread: reads the record queue, steps the detector, recovers the catalogue."""

from __future__ import annotations

import logging
import sqlite3
import threading
from dataclasses import replace

from exporter.catalogue.catalogue import Catalogue
from exporter.catalogue.recovery import RecoveringCatalogue
from exporter.host.interruption import Interrupted, Interruption
from exporter.logs import Failures
from exporter.novelty.baseline import Baseline
from exporter.novelty.detector import Detector
from exporter.novelty.snapshot import NoveltySnapshot
from exporter.probe.record_queue import NOVELTY, RecordQueue

log = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
FINISH_SECONDS, GIVE_UP_SECONDS = 1.5, 0.5  # at the stop: to judge what has come; to leave a file or a command


class Worker:
    """Detect novel binaries in a thread.

    `start`, `close` and `snapshot` are for other threads; all else happens in the worker's own. A scrape reads a
    finished snapshot and never waits for a disk. Records are acknowledged only once they are judged and committed.
    The `interruption` is that of the detector's reader.
    """

    def __init__(
        self, detector: Detector, recovering: RecoveringCatalogue, queue: RecordQueue, interruption: Interruption
    ) -> None:
        self._detector, self._recovering, self._queue = detector, recovering, queue
        self._interruption = interruption
        self._lost = recovering.catalogue is None
        self._failures = Failures(log)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="novelty", daemon=True)

    @property
    def snapshot(self) -> NoveltySnapshot:
        """State of novelty now."""
        snapshot = replace(self._detector.snapshot, errors=self._recovering.errors, deferred=self._queue.refused)
        return replace(snapshot, state="lost") if self._lost else snapshot

    def start(self) -> None:
        """Start the thread. When this returns, the counters of a catalogue that is not new have been loaded."""
        catalogue = self._recovering.catalogue
        try:
            if catalogue and Baseline.is_seeded(catalogue):
                self._detector.begin(catalogue)
        except sqlite3.Error as error:
            self._recovering.failed(error)
        self._thread.start()

    def close(self) -> None:
        """Judge what is in the queue as far as there is time, end the thread and close the catalogue.

        Records that are not judged stay in the queue. A thread that waits for a filesystem, or for another process to
        unlock the catalogue, is left behind with the catalogue open: it ends with the process.
        """
        self._stop.set()
        self._queue.interrupt()
        if self._thread.is_alive():
            self._thread.join(FINISH_SECONDS)
            self._interruption.set()
            self._thread.join(GIVE_UP_SECONDS)
        left = self._queue.waiting(NOVELTY)
        if left:
            log.warning("%d new executions are not judged: the next start does that if they are pinned", left)
        if not self._thread.is_alive():
            self._recovering.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._turn()
        while self._turn():
            pass

    def _turn(self) -> bool:
        """Step the detector; return true if there was work. Failures are counted and retried."""
        try:
            self._recovering.check()
            self._lost = self._recovering.catalogue is None
            if self._recovering.catalogue:
                return self._step(self._recovering.catalogue)
        except sqlite3.Error as error:
            self._recovering.failed(error)
        except Interrupted:
            return False
        except Exception as error:  # noqa: BLE001 - logged, and retried
            self._failures.log("novelty fails", error)
        self._stop.wait(RETRY_SECONDS)
        return False

    def _step(self, catalogue: Catalogue) -> bool:
        """Do the work that is due, or all of it if the worker stops. Raise sqlite3.Error, OSError."""
        detector, stopping = self._detector, self._stop.is_set()
        detector.tick(catalogue)
        taken = detector.taken
        records = self._queue.read(taken, detector.room)
        detector.take(catalogue, records)
        if not records and not stopping:
            detector.look_again(catalogue)
        judged = detector.judge(catalogue, everything=stopping)
        if judged:
            self._recovering.succeeded()
            self._failures.forget()
        self._queue.acknowledge(NOVELTY, detector.committed)
        if detector.room:
            self._queue.wait(detector.taken, detector.patience_seconds)
        else:
            self._stop.wait(detector.patience_seconds)
        return detector.taken > taken or judged > 0
