"""Which probe counts when the exporter starts: the pinned one, or a new one that takes over from it.

The process may be killed before, in and after each step, and the next start ends in the same state:

    pin     the new generation, entirely or not at all: incomplete ones are removed
    switch  the slots to its programs: of two generations, the newer one takes over again
    read    the older one's maps a last time, into the checkpoint: reading them again gives the same
    remove  the older one's pins: until then nothing that the newer one counts is in the checkpoint
"""

from __future__ import annotations

import logging
import sys
from collections import deque
from collections.abc import Collection
from contextlib import closing
from dataclasses import replace

import psutil

from exporter.collectors.flags import SeriesOptions
from exporter.collectors.pipeline import Pipeline
from exporter.events.decode import Decoder
from exporter.kernel.blob_map import BlobMap
from exporter.kernel.bpf_map import Map
from exporter.kernel.bpffs import MAKING, Pins
from exporter.kernel.dispatcher import wait_until_unused
from exporter.metrics.checkpoint import Checkpoint
from exporter.probe.attachments import Attachments
from exporter.probe.probe import SOURCE, Probe
from exporter.probe.program import PROGRAM, Loaded, ProbeSettings, load
from exporter.probe.record_queue import NOVELTY, RecordQueue
from exporter.service.pinned_format import upgrade
from exporter.service.pinned_generation import CHECKPOINT, GONE, INTAKE, DamagedError, Generation, digest

log = logging.getLogger(__name__)


class Handover:
    """Start counting, or continue with the pins of an earlier process. `readers` are those of the record queue.

    After `begin`, `how` describes what it did, and `inherited` has the records from rings that were removed, as far as
    novelty has not judged them, each with its decoder: no more than the map of a queue holds.
    """

    def __init__(self, pins: Pins, settings: ProbeSettings, series: SeriesOptions, readers: Collection[str]) -> None:
        self._pins, self._settings, self._series, self._readers = pins, settings, series, readers
        self.inherited: deque[tuple[Decoder, bytes]] = deque()
        self.how = ""

    def begin(self) -> tuple[Probe, Pipeline]:
        """Return an attached probe and its pipeline. Raise ExporterError, and OSError if nothing can be pinned."""
        try:
            return self._begin()
        except (DamagedError, FileNotFoundError, LookupError, ValueError) as error:  # or an unreadable checkpoint
            where, saved = self._pins.path, CHECKPOINT in self._pins.names()
            lost = "counts since they were last saved are lost" if saved else "counts restart from 0"
            log.warning("what is pinned in %s is damaged (%s): removing it, %s", where, error, lost)
            self._pins.remove_all(but=CHECKPOINT)
        try:
            return self._begin()
        except (DamagedError, LookupError, ValueError) as error:
            log.warning("the checkpoint in %s is damaged (%s): removing it, counts restart from 0", where, error)
            self._pins.remove_all()
            return self._begin()

    def _begin(self) -> tuple[Probe, Pipeline]:
        for name in self._pins.names():
            if name.startswith((MAKING, GONE)):
                self._pins.remove(name)
        upgrade(self._pins)
        numbers = self._pins.generations()
        checkpoint = self._checkpoint(bool(numbers))
        wanted = digest(SOURCE, self._settings)
        linked = f"link_{PROGRAM}" in self._pins.names()
        removed = {f"link_{PROGRAM}", f"slot_{PROGRAM}"} - set(self._pins.names())
        if numbers and removed:
            where, which = self._pins.path, " and ".join(sorted(removed))
            log.warning("removed from %s: %s; executions since then were not counted", where, which)
        if linked and not numbers:
            log.warning("removed from %s: the probe; counts since they were last saved are lost", self._pins.path)
        if not numbers:
            newer = self._load(wanted, None)
            self._generation(1).write(newer.loaded, BlobMap.create(INTAKE, RecordQueue.PARTS))
            newer.refresh_settings()
            newer.attach()
            self.how = "generation 1 is new"
            return newer, self._continue(newer, 1, checkpoint, seeding=True)
        last, older = numbers[0], self._open(numbers[0])
        for number in numbers[1:]:
            newer = self._open(number)
            self._take_over(last, older, newer, checkpoint)
            last, older = number, newer
        if older.loaded.digest == wanted and self._settings.hash_key in (b"", older.loaded.hash_key):
            older.refresh_settings()
            older.attach()
            self.how = f"generation {last} continues"
            return older, self._continue(older, last, checkpoint, seeding=False)
        newer = self._load(wanted, older.loaded)
        seeding = not _alike(older, newer, "processes")
        self._generation(last + 1).write(newer.loaded, self._blobs(last, older, newer))
        self._take_over(last, older, newer, checkpoint)
        self.how = f"generation {last + 1} took over"
        return newer, self._continue(newer, last + 1, checkpoint, seeding=seeding)

    def _generation(self, number: int) -> Generation:
        return Generation(self._pins, number)

    def _load(self, wanted: str, before: Loaded | None) -> Probe:
        loaded = replace(load(SOURCE, self._settings, before), digest=wanted)
        return Probe(self._settings, loaded, Attachments(self._pins))

    def _open(self, number: int) -> Probe:
        loaded = self._generation(number).open()
        return Probe(replace(self._settings, collect=loaded.collect), loaded, Attachments(self._pins), adopted=True)

    def _continue(self, probe: Probe, number: int, checkpoint: Checkpoint, *, seeding: bool) -> Pipeline:
        pipeline = Pipeline(probe, self._series, self._queue(number), checkpoint, seeds=None if seeding else {})
        pipeline.flush()
        probe.hold()
        return pipeline

    def _queue(self, number: int) -> RecordQueue:
        return RecordQueue(self._generation(number).intake(), self._readers)

    def _checkpoint(self, needed: bool) -> Checkpoint:
        if CHECKPOINT in self._pins.names():
            return Checkpoint(BlobMap(Map.of(self._pins.get(CHECKPOINT))))
        if needed:
            raise DamagedError("there is no checkpoint")
        checkpoint = Checkpoint.create()
        self._pins.pin(CHECKPOINT, checkpoint.fd)
        return checkpoint

    def _blobs(self, number: int, older: Probe, newer: Probe) -> BlobMap:
        """Return the map of the newer generation's queue: the older one's, if both use the same ring."""
        if _same(older, newer, "records"):
            return self._generation(number).intake()
        return BlobMap.create(INTAKE, RecordQueue.PARTS)

    def _take_over(self, number: int, older: Probe, newer: Probe, checkpoint: Checkpoint) -> None:
        """End a generation; from then on only the newer one counts."""
        copying = _alike(older, newer, "processes") and not _same(older, newer, "processes")
        newer.refresh_settings()
        if copying:
            _copy_processes(older, newer)
        newer.attach()
        wait_until_unused()
        if copying:
            _copy_processes(older, newer)  # those that have started meanwhile
            _forget_dead(newer)
        with closing(self._queue(number)) as queue:
            pipeline = Pipeline(older, self._series, queue, checkpoint, seeds={})
            pipeline.flush()
            if NOVELTY in self._readers and not _same(older, newer, "records"):
                self.inherited += ((pipeline.decoder, record) for _, record in queue.records())
        self._generation(number).remove()
        older.close()


def _same(older: Probe, newer: Probe, name: str) -> bool:
    """Return True if both use the same map."""
    return older.map_id(name) == newer.map_id(name)


def _alike(older: Probe, newer: Probe, name: str) -> bool:
    """Return True if keys and values of a map mean the same in both."""
    one, other = (probe.loaded.compiled.maps[name] for probe in (older, newer))
    return (one.key, one.value) == (other.key, other.value)


def _copy_processes(older: Probe, newer: Probe) -> None:
    """Copy the processes that the newer map lacks."""
    for key, value in older.entries("processes"):
        newer.maps["processes"].put(key, value, new=True)


def _forget_dead(probe: Probe) -> None:
    """Remove the processes that have ended while they were copied."""
    for key in [key for key, _ in probe.entries("processes")]:
        if not psutil.pid_exists(int.from_bytes(key, sys.byteorder)):
            probe.maps["processes"].remove(key)
