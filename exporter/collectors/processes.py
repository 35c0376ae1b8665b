"""What becomes of processes: the maps of processes and of lives, and the series that are made of them."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from exporter.collectors.executions import Executions
from exporter.collectors.reader import ProbeReader
from exporter.compiler.ctypes_layout import u64_reader
from exporter.events.labels import UNKNOWN
from exporter.host.procfs import is_dead
from exporter.metrics import definitions
from exporter.metrics.definitions import US_PER_SECOND
from exporter.metrics.family import AnyFamily, HistogramRows, RowFamily
from exporter.metrics.series import OTHER, Levels, Totals
from exporter.metrics.tracked_dict import Changes, Row, Tables, TrackedDict
from exporter.probe.exec_header import OUTCOMES

WORD = 1 << 64
NO_PROGRAM = 0  # of a process whose execution was lost
LIFETIMES = len(definitions.LIFETIME.bounds) + 1
# How many label sets a path has: one for each outcome, and that of the lifetimes.
SETS = len(OUTCOMES) + 1


class Processes:
    """Adds up exits and lifetimes by path, and counts what runs.

    `seeds` are the paths of what ran before the probe was attached, by the numbers that the map of processes has
    for them. Programs are known by `executions`, whose lock and limit of series these series share.
    `is_dead` says whether there is no such process.
    """

    def __init__(
        self,
        source: ProbeReader,
        executions: Executions,
        seeds: Mapping[int, str],
        is_dead: Callable[[int], bool] = is_dead,
    ) -> None:
        self._is_dead, self._lost = is_dead, 0
        self._source, self._executions = source, executions
        self._seeds: TrackedDict[int, str] = TrackedDict()
        for program, path in {NO_PROGRAM: UNKNOWN, **seeds}.items():
            self._seeds[program] = path
        self._program = u64_reader(source.structs["processes"], "program")
        self._numbers = u64_reader(source.structs["exits"], "began", "exits", "lifetime_us", "lifetimes")
        self._values: TrackedDict[bytes, bytes] = (
            TrackedDict()
        )  # of each program in the map of exits, when it was last read
        self._counted: dict[int, tuple[int, ...]] = {}  # of those that were read by another process
        width = len(OUTCOMES) + 1 + LIFETIMES
        self.totals: Totals[str] = Totals(executions.limit, lambda _: OTHER, width, SETS)
        self.running: Levels[str] = Levels(executions.limit, OTHER)
        self._programs: Counter[int] = Counter()

    def update(self) -> None:
        """Adds what has ended since the last time, and sees what runs. Raises OSError."""
        with self._executions.lock:
            self.update_locked()

    def update_locked(self) -> None:
        """As `update`, for who has the lock of the executions."""
        lives = self._read()
        if any(self._path(program) is None for program in {*self._programs, *(_number(key) for key, _ in lives)}):
            self._executions.update_locked()  # executed since it was read
        self._add(lives)

    def _read(self) -> list[tuple[bytes, bytes]]:
        """Reads both maps; returns the lives that have changed."""
        self._programs = Counter(self._program(value) for _, value in self._source.entries("processes"))
        return [(key, value) for key, value in self._source.entries("exits") if self._values.get(key) != value]

    def _add(self, lives: list[tuple[bytes, bytes]]) -> None:
        now = self._executions.now()
        for key, value in lives:
            self._count(key, value, now)
        self._counted.clear()  # what is not in the map now begins anew if it comes back
        running: Counter[str] = Counter()
        for program, number in self._programs.items():
            running[self._path(program) or UNKNOWN] += number
        self.running.set(running, now)

    def _path(self, program: int) -> str | None:
        return self._seeds.get(program) or self._executions.path(program)

    def _count(self, key: bytes, value: bytes, now: int) -> None:
        began, *new = self._numbers(value)
        nothing = (0,) * len(new)
        before = self._values.get(key)
        since, *old = self._numbers(before) if before else self._counted.pop(_number(key), (began, *nothing))
        if began != since:
            old = [*nothing]  # it was taken out, and is another since
        # the kernel's sums may have gone round: their differences have not
        added = [(high - low) % WORD for high, low in zip(new, old, strict=True)]
        self._values[key] = value
        self.totals.add(self._path(_number(key)) or UNKNOWN, added, now)

    def _settle(self) -> None:
        if self.totals.changed_rows:
            self._executions.save()
        self.totals.changed_rows = False

    def changes(self, *, whole: bool) -> Changes:
        """What was counted since the last call, or ever, for `restore`."""
        values = self._values.changes(whole=whole)
        counted: list[Row] = [(_number(key), value and self._numbers(value)) for key, value in values]
        return {
            "map": [("exits", self._source.map_id("exits"))],
            "counted": [*counted, *self._counted.items()] if whole else counted,
            "seeds": [*self._seeds.changes(whole=whole)],
            **self.totals.changes(whole=whole),
            **self.running.changes(whole=whole),
        }

    def restore(self, tables: Tables) -> None:
        """Goes on from what was saved, if it is of this map: else only with what was counted."""
        self.totals.restore(tables, str)
        self.running.restore(tables)
        for program, path in tables["seeds"].items():
            if program not in self._seeds:
                self._seeds[program] = path
        if tables["map"]["exits"] == self._source.map_id("exits"):
            self._counted = {program: tuple(numbers) for program, numbers in tables["counted"].items()}

    @property
    def entries(self) -> dict[str, int]:
        """How many entries each map had when it was last read."""
        return {"processes": self._programs.total(), "exits": len(self._values)}

    def _forget_dead(self) -> None:
        """Takes out of the map what has ended unseen: since Linux 7.0 the kernel does not show every end."""
        lost = self._source.counters()["COUNTER_EXITS_LOST"]
        if lost != self._lost:
            for key in [key for key, _ in self._source.entries("processes")]:
                if self._is_dead(_number(key)):
                    self._source.take("processes", key)
        self._lost = lost

    def evict(self, *, room: bool = False) -> None:
        """Keeps house of the executions, and takes lives out of their map of programs that nobody knows any more.

        A program is known while its key is in the map of executions or a process runs it. Idle series end.
        Raises OSError.
        """
        with self._executions.lock:
            self._forget_dead()
            lives = self._read()
            self._executions.update_locked()  # after it, so that every program that was read is known
            self._executions.evict_locked(room=room)
            self._add(lives)
            keep = self._executions.programs() | set(self._programs)
            chosen = [key for key in self._values if _number(key) not in keep]
            if chosen:
                self._executions.save()
            for key in chosen:
                value = self._source.take("exits", key)
                if value is not None and value != self._values[key]:
                    self._count(key, value, self._executions.now())
                del self._values[key]
            self._executions.forget_paths(keep)
            for program in self._seeds.keys() - {NO_PROGRAM, *keep}:
                del self._seeds[program]
            before = self._executions.idle_since()
            self.totals.expire(before)
            self.running.expire(before)
            if chosen:
                self._executions.save()
            self._settle()

    def collect(self) -> Iterator[AnyFamily]:
        """How processes ended, how long they lived, and what runs. Asked after the executions."""
        with self._executions.lock:
            self.update_locked()
            self._settle()
            rows = {path: tuple(row) for path, row in self.totals.rows.items()}
            running = {(path,): number for path, number in self.running.rows.items()}
        exits, lifetimes = {}, {}
        for path, row in rows.items():
            exits.update({(path, outcome): number for outcome, number in zip(OUTCOMES, row, strict=False)})
            lifetime_us, *buckets = row[len(OUTCOMES) :]
            lifetimes[path,] = (*buckets, lifetime_us / US_PER_SECOND)
        yield RowFamily(definitions.EXITS, exits)
        yield HistogramRows(definitions.LIFETIME, lifetimes)
        yield RowFamily(definitions.RUNNING, running)


def _number(key: bytes) -> int:
    return int.from_bytes(key, sys.byteorder)
