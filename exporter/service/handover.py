"""Which probe counts when the exporter starts: the one that is pinned, or a new one that takes over from it.

Each step of that can be the last of a process that is killed, and the next start comes to the same end:

    pin     the new generation, whole or not at all: what is not whole is removed
    switch  the slots to its programs: where there are two generations, the newer takes over again
    read    the older one's maps a last time, into the checkpoint: read again, they say what they said
    remove  the older one's pins: until then nothing that the newer one counts is in the checkpoint
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from dataclasses import replace

import psutil

from exporter.collectors.pipeline import Pipeline
from exporter.events.names import Introduced
from exporter.kernel.blob_map import BlobMap
from exporter.kernel.bpf_map import Map
from exporter.kernel.bpffs import Pins
from exporter.kernel.dispatcher import wait_until_unused
from exporter.metrics.checkpoint import Checkpoint
from exporter.probe.attachments import Attachments
from exporter.probe.probe import SOURCE, Probe
from exporter.probe.program import Loaded, ProbeSettings, load
from exporter.probe.record_queue import RecordQueue
from exporter.service.pinned_generation import GONE, MAKING, DamagedError, Generation, digest

log = logging.getLogger(__name__)

CHECKPOINT = "ledger"  # the pin of earlier versions, from which counting goes on
READERS = "checkpoint", "novelty"
Readers = Callable[[Probe, Checkpoint, bool], Pipeline]


class Handover:
    """Begins, or goes on, counting with what is pinned.

    `readers` makes the pipeline of a probe, which goes on from the checkpoint and, if told so, finds out what runs
    already.
    """

    def __init__(self, pins: Pins, settings: ProbeSettings, readers: Readers) -> None:
        self._pins, self._settings, self._readers = pins, settings, readers
        self._introduced: list[Introduced] = []  # in rings that are gone
        self.how = ""  # it began

    def begin(self) -> tuple[Probe, Pipeline]:
        """A probe that is attached, and its pipeline. Raises ExporterError, and OSError where nothing can be pinned."""
        try:
            return self._begin()
        except (DamagedError, FileNotFoundError, LookupError, ValueError) as error:  # or a state that nobody can read
            where = self._pins.path
            log.warning("what is pinned in %s is damaged (%s): it is removed, and counting starts anew", where, error)
            self._pins.remove_all()
            return self._begin()

    def _begin(self) -> tuple[Probe, Pipeline]:
        for name in self._pins.names():
            if name.startswith((MAKING, GONE)):
                self._pins.remove(name)
        numbers = self._pins.generations()
        checkpoint = self._checkpoint(bool(numbers))
        wanted = digest(SOURCE, self._settings)
        if not numbers:
            newer = self._load(wanted, None)
            Generation(self._pins, 1).write(newer.loaded, BlobMap.create("intake", RecordQueue.PARTS))
            newer.refresh_settings()
            newer.attach()
            self.how = "counting was begun"
            return newer, self._reading(newer, 1, checkpoint, anew=True)
        last, older = numbers[0], self._open(numbers[0])
        for number in numbers[1:]:
            newer = self._open(number)
            self._take_over(last, older, newer, checkpoint)
            last, older = number, newer
        if older.digest == wanted and self._settings.hash_key in (b"", older.hash_key):
            older.refresh_settings()
            older.attach()
            self.how = f"generation {last} goes on"
            return older, self._reading(older, last, checkpoint, anew=False)
        newer = self._load(wanted, older.loaded)
        anew = not _alike(older, newer, "processes")
        Generation(self._pins, last + 1).write(newer.loaded, self._blobs(last, older, newer))
        self._take_over(last, older, newer, checkpoint)
        self.how = f"generation {last + 1} took over"
        return newer, self._reading(newer, last + 1, checkpoint, anew=anew)

    def _load(self, wanted: str, before: Loaded | None) -> Probe:
        loaded = replace(load(SOURCE, self._settings, before), digest=wanted)
        return Probe(self._settings, loaded, Attachments(self._pins))

    def _reading(self, probe: Probe, number: int, checkpoint: Checkpoint, *, anew: bool) -> Pipeline:
        probe.keep_in(RecordQueue(BlobMap(Map.of(self._pins.get(f"{number}/intake"))), READERS))
        pipeline = self._readers(probe, checkpoint, anew)
        pipeline.names.hold(self._introduced)
        pipeline.settle()
        return pipeline

    def _checkpoint(self, needed: bool) -> Checkpoint:
        if CHECKPOINT in self._pins.names():
            return Checkpoint(BlobMap(Map.of(self._pins.get(CHECKPOINT))))
        if needed:
            raise DamagedError("there is no checkpoint")
        checkpoint = Checkpoint.create()
        self._pins.pin(CHECKPOINT, checkpoint.fd)
        return checkpoint

    def _open(self, number: int) -> Probe:
        loaded = Generation(self._pins, number).open()
        return Probe(replace(self._settings, collect=loaded.collect), loaded, Attachments(self._pins), adopted=True)

    def _blobs(self, number: int, older: Probe, newer: Probe) -> BlobMap:
        """Where the newer generation's records are kept: where the older one's are, if it is the same ring."""
        if _same(older, newer, "records"):
            return BlobMap(Map.of(self._pins.get(f"{number}/intake")))
        return BlobMap.create("intake", RecordQueue.PARTS)

    def _take_over(self, number: int, older: Probe, newer: Probe, checkpoint: Checkpoint) -> None:
        """Ends a generation, after which the newer counts alone."""
        copying = _alike(older, newer, "processes") and not _same(older, newer, "processes")
        newer.refresh_settings()
        if copying:
            _copy_processes(older, newer)
        newer.attach()
        wait_until_unused()
        if copying:
            _copy_processes(older, newer)  # those that have come meanwhile
            _forget_dead(newer)
        older.keep_in(RecordQueue(BlobMap(Map.of(self._pins.get(f"{number}/intake"))), READERS))
        pipeline = self._readers(older, checkpoint, False)
        pipeline.names.hold([])
        pipeline.settle()
        if not _same(older, newer, "records"):
            self._introduced += pipeline.names.held()
        Generation(self._pins, number).remove()
        older.close()


def _same(older: Probe, newer: Probe, name: str) -> bool:
    """Whether both use the same map."""
    return older.map_id(name) == newer.map_id(name)


def _alike(older: Probe, newer: Probe, name: str) -> bool:
    """Whether what is in a map means the same in both."""
    one, other = (probe.loaded.compiled.maps[name] for probe in (older, newer))
    return (one.key, one.value) == (other.key, other.value)


def _copy_processes(older: Probe, newer: Probe) -> None:
    """Those that the newer map has not."""
    for key, value in older.entries("processes"):
        newer.maps["processes"].put(key, value, new=True)


def _forget_dead(probe: Probe) -> None:
    """Processes that have ended while they were copied."""
    for key in [key for key, _ in probe.entries("processes")]:
        if not psutil.pid_exists(int.from_bytes(key, sys.byteorder)):
            probe.maps["processes"].remove(key)
