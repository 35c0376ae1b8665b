"""The maps of processes and of exits, added up by path."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from exporter.compiler.ctypes_layout import u64_reader
from exporter.escape import LABEL_BYTES, shortened
from exporter.events.labels import UNKNOWN
from exporter.host.procfs import is_dead
from exporter.metrics import definitions
from exporter.metrics.definitions import US_PER_SECOND
from exporter.metrics.family import AnyFamily, HistogramRows, RowFamily
from exporter.metrics.series import OTHER, Levels, Limit, Totals
from exporter.metrics.tracked_dict import Changes, Row, Tables, TrackedDict
from exporter.probe.exec_header import OUTCOMES
from exporter.probe.probe import Probe

WORD = 1 << 64
NO_PROGRAM = 0  # of a process whose execution was lost
LIFETIMES = len(definitions.LIFETIME.bounds) + 1
# How many label sets a path has: one for each outcome, and that of the lifetimes.
SETS = len(OUTCOMES) + 1


class Processes:
    """Exits, lifetimes and running processes by path.

    `path` returns the path of a program by number, `unix` the Unix time of one since boot in ns. `seeds` has the paths
    of programs that ran before the probe was attached. `is_dead` is true of a pid that no process has. One thread at a
    time: callers hold the pipeline's lock.
    """

    def __init__(
        self,
        probe: Probe,
        path: Callable[[int], str | None],
        unix: Callable[[int], float],
        limit: Limit,
        seeds: Mapping[int, str],
        is_dead: Callable[[int], bool] = is_dead,
        label_bytes: int = LABEL_BYTES,
    ) -> None:
        self._label_bytes = label_bytes
        self._probe, self._known_path, self._unix, self._is_dead = probe, path, unix, is_dead
        self._seeds: TrackedDict[int, str] = TrackedDict()
        for program, seed in {NO_PROGRAM: UNKNOWN, **seeds}.items():
            self._seeds[program] = seed
        self._program = u64_reader(probe.structs["processes"], "program")
        self._numbers = u64_reader(probe.structs["exits"], "began", "exits", "lifetime_us", "lifetimes")
        self._values: TrackedDict[bytes, bytes] = TrackedDict()  # of the map of exits, as last read
        self._counted: dict[int, tuple[int, ...]] = {}  # by program, the counts of the previous process
        self._added_ns = 0  # since boot: when exits were last added
        self._lost = 0
        self._renamable = False
        width = len(OUTCOMES) + 1 + LIFETIMES
        self.totals: Totals[str] = Totals(limit, lambda _: OTHER, width, SETS)
        self.running: Levels[str] = Levels(limit, OTHER)
        self._programs: Counter[int] = Counter()

    def read(self) -> list[tuple[bytes, bytes]]:
        """Read both maps; return the exit statistics that have changed since they were last added. Raise OSError."""
        self._programs = Counter(self._program(value) for _, value in self._probe.entries("processes"))
        return [(key, value) for key, value in self._probe.entries("exits") if self._values.get(key) != value]

    def lack_names(self, exits: Iterable[tuple[bytes, bytes]]) -> bool:
        """Return True if a program that was read has no path yet: it was executed after the executions were read."""
        return any(self._path(program) is None for program in {*self._programs, *(_number(key) for key, _ in exits)})

    def add(self, exits: Iterable[tuple[bytes, bytes]], now: int) -> None:
        """Count exit statistics that were read, and running processes. `now` is the time since boot in ns."""
        for key, value in sorted(exits, key=lambda entry: self._numbers(entry[1])[0]):  # the oldest begins a series
            self._count(key, value, now)
        self._added_ns = now
        self._counted.clear()  # programs that are not in the map now start from zero if they come back
        running: Counter[str] = Counter()
        for program, number in self._programs.items():
            running[self._path(program) or UNKNOWN] += number
        self.running.set(running, now)

    def _path(self, program: int) -> str | None:
        return self._seeds.get(program) or self._known_path(program)

    def _count(self, key: bytes, value: bytes, now: int) -> None:
        began, *new = self._numbers(value)
        nothing = (0,) * len(new)
        before = self._values.get(key)
        since, *old = self._numbers(before) if before else self._counted.pop(_number(key), (None, *nothing))
        if began != since:
            old = [*nothing]  # the program is new, or was removed and inserted again
        since_ns = max(began, self._added_ns) if began == since else began
        # the kernel's sums may wrap around: their differences do not
        added = [(high - low) % WORD for high, low in zip(new, old, strict=True)]
        self._values[key] = value
        path = self._path(_number(key)) or UNKNOWN
        self._renamable |= path == UNKNOWN and _number(key) not in self._seeds
        self.totals.add(path, _with_all_outcomes(added), now, self._unix(since_ns))

    @property
    def must_save(self) -> bool:
        """True if the next process could not derive the present values from the maps.

        There are new or expired series, or exits of a program that may still get its name.
        """
        return self._renamable or self.totals.changed_rows

    def changes(self, *, whole: bool) -> Changes:
        """Return the tables for `restore`: the changes since the last call, or everything."""
        values = self._values.changes(whole=whole)
        counted: list[Row] = [(_number(key), value and self._numbers(value)) for key, value in values]
        self._renamable = self.totals.changed_rows = False
        return {
            "map": [("exits", self._probe.map_id("exits"))],
            "counted": [*counted, *self._counted.items()] if whole else counted,
            "seeds": [*self._seeds.changes(whole=whole)],
            **self.totals.changes(whole=whole),
            **self.running.changes(whole=whole),
        }

    def restore(self, tables: Tables) -> None:
        """Continue from saved tables; if they are of another map, only with the totals."""

        def label(saved: str) -> str:
            return shortened(saved, self._label_bytes)

        rows = {path: (_with_all_outcomes(row), changed) for path, (row, changed) in tables["rows"].items()}
        self.totals.restore({**tables, "rows": rows}, label)
        self.running.restore(tables, label)
        for program, path in tables["seeds"].items():
            if program not in self._seeds:
                self._seeds[program] = label(path)
        if tables["map"]["exits"] == self._probe.map_id("exits"):
            self._counted = {program: tuple(numbers) for program, numbers in tables["counted"].items()}

    @property
    def entries(self) -> dict[str, int]:
        """Number of entries of each map when it was last read."""
        return {"processes": self._programs.total(), "exits": len(self._values)}

    @property
    def programs(self) -> set[int]:
        """Numbers of the programs that run."""
        return set(self._programs)

    def forget_dead(self) -> None:
        """Remove processes from the map whose exit the probe has missed: since Linux 7.0 it may. Raise OSError."""
        lost = self._probe.counters()["COUNTER_EXITS_LOST"]
        if lost != self._lost:
            for key in [key for key, _ in self._probe.entries("processes")]:
                if self._is_dead(_number(key)):
                    self._probe.take("processes", key)
        self._lost = lost

    def evictable(self, keep: Collection[int]) -> list[bytes]:
        """Return the keys of all programs in the map of exits but those to keep."""
        return [key for key in self._values if _number(key) not in keep]

    def evict(self, keys: Iterable[bytes], now: int) -> None:
        """Remove programs from the map of exits; their counts stay. Raise OSError."""
        for key in keys:
            value = self._probe.take("exits", key)
            if value is not None and value != self._values[key]:
                self._count(key, value, now)
            del self._values[key]

    def expire(self, idle_since: int, keep: set[int]) -> None:
        """End idle series, and forget the seeds of all programs but those to keep."""
        self.totals.expire(idle_since)
        self.running.expire(idle_since)
        for program in self._seeds.keys() - {NO_PROGRAM, *keep}:
            del self._seeds[program]

    def families(self) -> list[AnyFamily]:
        """Return the metrics of exits, lifetimes and running processes."""
        exits, lifetimes, created = {}, {}, self.totals.created
        for path, row in self.totals.rows.items():
            exits.update({(path, outcome): number for outcome, number in zip(OUTCOMES, row, strict=False)})
            lifetime_us, *buckets = row[len(OUTCOMES) :]
            lifetimes[path,] = (*buckets, lifetime_us / US_PER_SECOND)
        return [
            RowFamily(
                definitions.EXITS, exits, {(path, outcome): created[path] for path, outcome in exits if path in created}
            ),
            HistogramRows(definitions.LIFETIME, lifetimes, {(path,): time for path, time in created.items()}),
            RowFamily(definitions.RUNNING, {(path,): number for path, number in self.running.rows.items()}),
        ]


def _with_all_outcomes(row: Sequence[int]) -> list[int]:
    """Return a row with 0 for the outcomes that an earlier version lacked; they are appended to their enum."""
    lacking = len(OUTCOMES) + 1 + LIFETIMES - len(row)
    return [*row[: -1 - LIFETIMES], *[0] * lacking, *row[-1 - LIFETIMES :]]


def _number(key: bytes) -> int:
    return int.from_bytes(key, sys.byteorder)
