"""The path from an attached probe to a scrape: the only owner of the lock, the checkpoint and eviction."""

from __future__ import annotations

import ctypes
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial

from exporter.collectors.arguments import FormatHistograms
from exporter.collectors.executions import NS_PER_SECOND, Clock, Executions
from exporter.collectors.failures import failures
from exporter.collectors.flags import SeriesOptions
from exporter.collectors.forks import forks
from exporter.collectors.novelty import novelty_off
from exporter.collectors.probe import ProbeCollector
from exporter.collectors.processes import Processes
from exporter.collectors.processes_at_start import seed_processes
from exporter.events.copied_up import CopiedUp
from exporter.events.decode import Decoder
from exporter.events.labels import Labels
from exporter.events.names import Names
from exporter.metrics import definitions
from exporter.metrics.checkpoint import Checkpoint
from exporter.metrics.family import AnyFamily, RowFamily
from exporter.metrics.series import Limit
from exporter.metrics.tracked_dict import Changes, Tables
from exporter.probe.probe import Probe
from exporter.probe.record_queue import CHECKPOINT, NOVELTY, RecordQueue

BACKLOG_BYTES = 64 << 20  # of records that wait to be named; further ones stay in the ring buffer
# Metrics that are 0 when counting starts and continue after a restart.
CARRIED = (
    definitions.ARGUMENTS,
    definitions.ARGUMENTS_BYTES,
    definitions.ENVIRONMENT_BYTES,
    definitions.BINARY_AGE,
    definitions.FORKS,
    definitions.FAILURES,
    definitions.TRAITS_SEEN,
    definitions.PROBE_RUNS,
    definitions.LOST,
    definitions.FOLDED,
    definitions.EXPIRED,
    definitions.EXITS_LOST,
    definitions.PROCESSES_UNTRACKED,
    definitions.DEFERRED,
)


class Pipeline:
    """State of what the probe has counted, and the `collectors` that show it in the order of a scrape.

    Continues from the checkpoint, if there is one, and saves to it. `seeds` are the paths of programs that run already,
    by the number that the map of processes has for them; None: look for them. Raise OSError.

    One lock protects names, executions, processes and checkpoint. A second one only orders those who empty the ring
    buffer: that must not wait for a scrape, or the ring overflows. Maps are read before the ring: whatever was read
    has its name, unless that was lost.
    """

    def __init__(
        self,
        probe: Probe,
        options: SeriesOptions,
        queue: RecordQueue | None = None,
        checkpoint: Checkpoint | None = None,
        *,
        seeds: Mapping[int, str] | None = None,
        clock: Clock = Clock(),  # noqa: B008 - immutable
    ) -> None:
        self._probe, self.queue, self._checkpoint = probe, queue, checkpoint
        self.decoder = Decoder(probe.layouts)
        self._lock, self._ring_lock = threading.Lock(), threading.Lock()
        self._unnamed: deque[tuple[int | None, bytes]] = deque()  # records and their numbers in the queue
        self._received_bytes = self._named_bytes = 0  # of records; each is written with one of the locks
        self._unsaved = False  # the last save has failed
        self._named = self._accounted = self._saved = 0  # numbers of records: named; in the maps as read; saved
        judged = bool(queue and NOVELTY in queue.readers)
        self.series = options  # immutable, and replaced by `reconfigure`
        self._names = Names(self.decoder, options.shown, options.label_bytes, track_used=judged)
        self.copied_up = CopiedUp(self.decoder) if judged else None  # for novelty to judge
        self._idle_ns = int(options.idle_seconds * NS_PER_SECOND)
        limit, most = Limit(options.limit), options.label_bytes
        self._executions = Executions(probe, self._names, self.decoder, limit, clock, most, self.copied_up)
        for number, record in queue.records() if queue else ():
            self._name_one(number, record)
        self._processes: Processes | None = None
        if probe.collects("processes"):
            seeds = seed_processes(probe, options.shown) if seeds is None else seeds
            path, unix = self._executions.path, self._executions.unix
            self._processes = Processes(probe, path, unix, limit, seeds, label_bytes=options.label_bytes)
        self._began: float | None = round(self._executions.unix(self._executions.now()), 3)  # None: before it was saved
        self._began_saved = False
        self._disabled: dict[str, Changes] = {}  # saved tables of collectors that are disabled now
        saved = checkpoint.load() if checkpoint else None
        if saved:
            self._restore(saved)
        self.collectors = self._collectors()

    def _restore(self, saved: dict[str, Tables]) -> None:
        probe = saved.pop("probe")
        self._probe.restore(probe["state"][0])
        self._began, self._began_saved = probe.get("began", {}).get(0), True
        self._executions.restore(saved.pop("executions"))
        if self._processes and "processes" in saved:
            self._processes.restore(saved.pop("processes"))
        self._disabled = {part: {name: [*t.items()] for name, t in tables.items()} for part, tables in saved.items()}

    # The ring buffer

    def drain(self) -> None:
        """Move records from the ring buffer to the queue, and name their keys.

        If another thread holds the lock, they wait for it in memory, or in the ring buffer if there are too many.
        """
        self._empty_ring()
        if self._lock.acquire(blocking=self._backlog_bytes > BACKLOG_BYTES):
            try:
                self._name()
            finally:
                self._lock.release()

    @property
    def _backlog_bytes(self) -> int:
        return self._received_bytes - self._named_bytes

    def _empty_ring(self) -> None:
        with self._ring_lock:
            if self._backlog_bytes > BACKLOG_BYTES:
                return
            self._probe.receive(self._receive)

    def _receive(self, record: bytes) -> None:
        self._unnamed.append((self.queue.add(record) if self.queue else None, record))
        self._received_bytes += len(record)

    def _name(self) -> None:
        while self._unnamed:
            number, record = self._unnamed.popleft()
            self._name_one(number, record)
            self._named_bytes += len(record)

    def _name_one(self, number: int | None, record: bytes) -> None:
        key = self._names.add(record)
        if key:
            self._executions.rename(key)
        if number:
            self._named = number
        elif key and self.queue:
            self._names.mark_refused(key)

    def reconfigure(self, options: SeriesOptions) -> None:
        """Put other options into force; series that exist stay."""
        with self._lock:
            self._idle_ns = int(options.idle_seconds * NS_PER_SECOND)
            self._executions.limit.most = options.limit
            self.series = replace(options, label_bytes=self.series.label_bytes)
            self._executions.set_rules(self.series.shown)

    # The maps

    def update(self) -> None:
        """Count executions and exits since the last update. Raise OSError."""
        with self._lock:
            self._update()

    def _update(self) -> None:
        exits = self._processes.read() if self._processes else ()
        self._update_executions()  # after the processes, so that the programs they run are known
        if self._processes:
            self._processes.add(exits, self._executions.now())

    def _update_executions(self) -> None:
        self._name()
        named, entries = self._named, self._executions.read()
        self._empty_ring()
        self._name()
        self._executions.add(entries)
        self._accounted = named  # the keys of these records were in the map before it was read

    # The checkpoint

    def _save(self) -> None:
        """Save the changes; without a checkpoint, only discard the list of them."""
        self._began_saved = True
        if self._checkpoint is None:
            self._changed_parts(whole=False)
            return
        self._unsaved = not self._checkpoint.save(self._changes)
        if not self._unsaved:
            self._saved = self._accounted

    def _changes(self, whole: bool) -> Mapping[str, Changes]:
        probe: dict[str, Changes] = {"probe": {"state": [(0, self._probe.state())], "began": [(0, self._began)]}}
        return {**probe, **self._changed_parts(whole=whole), **(self._disabled if whole else {})}

    def _changed_parts(self, *, whole: bool) -> dict[str, Changes]:
        parts = {"executions": self._executions.changes(whole=whole)}
        if self._processes:
            parts["processes"] = self._processes.changes(whole=whole)
        return parts

    def _save_if_needed(self) -> None:
        if not self._began_saved or self._executions.must_save or (self._processes and self._processes.must_save):
            self._save()

    def flush(self) -> None:
        """Update and save. Raise OSError.

        Records stay in the queue: during a handover some introduce keys that are in the newer probe's map alone.
        """
        with self._lock:
            self._update()
            self._save()

    def acknowledge(self) -> None:
        """Acknowledge the records whose names are saved; save first if there are others. Raise OSError."""
        if self.queue and self._checkpoint and self.queue.pending:
            with self._lock:
                if self._saved < self._accounted:
                    self._save()
            self.queue.acknowledge(CHECKPOINT, self._saved)

    # Eviction

    @property
    def filling(self) -> bool:
        """True if the map of executions needs room."""
        return self._executions.filling

    @property
    def introduced(self) -> int:
        """Number of keys that were introduced."""
        return self._names.introduced

    def evict(self, *, room: bool = False) -> None:
        """Remove idle keys and what is known of their programs; expire idle series. Raise OSError.

        If the map fills, or with `room`, the oldest keys are removed too. A program is needed while its key is in the
        map of executions or a process runs it. What is removed stays counted: it is saved before and after, as the
        next process cannot read it from the maps.
        """
        with self._lock:
            processes = self._processes
            if processes:
                processes.forget_dead()
            self._update()
            now = self._executions.now()
            idle_since = now - self._idle_ns if self._idle_ns else 0
            keys = self._executions.evictable(idle_since, room=room or self.filling)
            needed = self._executions.programs(without=keys) | (processes.programs if processes else set())
            exits = processes.evictable(needed) if processes else []
            if keys or exits:
                self._save()
            self._executions.evict(keys)
            self._executions.expire(idle_since, needed)
            if processes:
                processes.evict(exits, now)
                processes.expire(idle_since, needed)
            if keys or exits or self._unsaved:
                self._save()
            self._save_if_needed()

    # For novelty, which runs in a thread of its own

    def labels(self, key: bytes) -> Labels:
        """Return the labels of a key."""
        with self._lock:
            return self._names.labels(key)

    def take_used(self) -> set[bytes]:
        """Return the keys that were executed again, or whose record was refused, since the last call."""
        with self._lock:
            return self._names.take_used()

    def preload(self, known: Mapping[bytes, Labels]) -> None:
        """Add labels of keys that need no introduction."""
        with self._lock:
            self._names.preload(known)

    # The scrape

    def _collectors(self) -> dict[str, Callable[[], Iterable[AnyFamily]]]:
        """Return the enabled collectors in the order of a scrape."""
        probe = self._probe
        optional: dict[str, Callable[[], Iterable[AnyFamily]]] = {
            "processes": self._collect_processes,
            "arguments": FormatHistograms(probe).collect,
            "forks": lambda: forks(probe),
            "failures": lambda: failures(probe),
            "traits": self._collect_traits,
        }
        collectors = {
            "executions": self._collect_executions,
            **{name: collect for name, collect in optional.items() if probe.collects(name)},
            "novelty": novelty_off,
            "probe": ProbeCollector(probe, self._names, self._executions, self._processes).collect,
        }
        return {name: partial(self._dated, collect) for name, collect in collectors.items()}

    def _dated(self, collect: Callable[[], Iterable[AnyFamily]]) -> Iterator[AnyFamily]:
        """Yield the families of a collector, the CARRIED ones with the time at which counting started."""
        for family in collect():
            if isinstance(family, RowFamily) and family.metric in CARRIED and self._began:
                yield replace(family, created=dict.fromkeys(family.rows, self._began))
            else:
                yield family

    def _collect_executions(self) -> Iterable[AnyFamily]:
        with self._lock:
            self._update_executions()
            self._save_if_needed()
            return self._executions.families()

    def _collect_processes(self) -> Iterable[AnyFamily]:
        processes = self._processes
        if processes is None:
            return ()
        with self._lock:
            exits = processes.read()
            if processes.lack_names(exits):
                self._update_executions()
            processes.add(exits, self._executions.now())
            self._save_if_needed()
            return processes.families()

    def _collect_traits(self) -> Iterable[AnyFamily]:
        with self._lock:
            return self._executions.trait_families(without=() if self._probe.collects("preload") else ("preload",))

    def try_out(self) -> None:
        """Read and change maps as the exporter will do later. Raise OSError where this process is not permitted to."""
        self.update()
        self._probe.take("execs", bytes(ctypes.sizeof(self._probe.layouts.key)))

    def close(self) -> None:
        """Close the queue and the checkpoint."""
        if self.queue:
            self.queue.close()
        if self._checkpoint:
            self._checkpoint.close()
