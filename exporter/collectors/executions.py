"""The map of executions, and the series that are made of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import NamedTuple

from exporter.collectors.reader import ProbeReader
from exporter.collectors.traits import TraitTotals
from exporter.compiler.ctypes_layout import u64_reader
from exporter.events.decode import DecodeError, Decoder
from exporter.events.labels import Labels
from exporter.events.names import Names
from exporter.events.traits import traits_of
from exporter.metrics import definitions
from exporter.metrics.family import AnyFamily, RowFamily
from exporter.metrics.series import OTHER, Limit, Totals
from exporter.metrics.tracked_dict import Changes, Tables, TrackedDict

NS_PER_SECOND = 1_000_000_000
# A key is not taken out of the map while an execution may be on its way to it: that takes microseconds.
AT_REST_NS = NS_PER_SECOND // 4
FILLING = 3 / 4  # of the map


class _Entry(NamedTuple):
    """An entry of the map: its value as it was last read, and the numbers in it."""

    value: bytes
    executions: int
    introduced: int
    last: int
    program: int
    began: int


_NOTHING = _Entry(b"", 0, 0, 0, 0, 0)


class _Meaning(NamedTuple):
    """What a key means: its labels as they are, as they are shown, and its traits."""

    real: Labels
    shown: Labels
    traits: tuple[str, ...]


def no_rules(labels: Labels) -> Labels:
    """Shows labels as they are."""
    return labels


class Executions:
    """Adds up what is executed, by labels.

    Several keys may have the same labels, and a key that got its name late had others before. What a key was counted
    under stays there: only what has been added to it since goes to the labels it has now. So no series ever goes down,
    and their sum is the sum of the map and of what was taken out of it.

    `rules` make the labels that are shown; `idle_seconds` is how long a program is remembered that is not executed,
    0 for ever. `boot_ns` and `boot_time_ns` give the time since boot and the time of boot, in ns.
    """

    def __init__(
        self,
        source: ProbeReader,
        names: Names,
        decoder: Decoder,
        limit: Limit,
        rules: Callable[[Labels], Labels] = no_rules,
        idle_seconds: float = 0,
        boot_ns: Callable[[], int] = lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME),
        boot_time_ns: Callable[[], int] = lambda: time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME),
    ) -> None:
        self._source, self._names, self._decoder, self._rules = source, names, decoder, rules
        self._idle_ns = int(idle_seconds * NS_PER_SECOND)
        self._boot_ns, self._boot_time_ns = boot_ns, boot_time_ns
        self._numbers = u64_reader(source.structs["execs"], "executions", "introduced", "last", "program", "began")
        self._entries: dict[bytes, _Entry] = {}
        self._meanings: dict[bytes, _Meaning] = {}
        self._keys: TrackedDict[int, bytes] = TrackedDict()  # by program
        self._paths: TrackedDict[int, str] = TrackedDict()
        self._new: set[int] = set()  # programs that have come since the last save
        self.accounted = 0  # of the records so many are of keys that are in the map as it was last read
        self._introduced = 0  # keys, until it was last read
        self.lock = threading.Lock()
        self.limit = limit
        self.totals: Totals[Labels] = Totals(limit, lambda labels: Labels(OTHER, OTHER, labels.stdin_type))
        self.traits = TraitTotals()
        self._renamable = False  # whether something was counted under a name that it may not keep
        self.save: Callable[[], object] = lambda: None  # keeps the state for the next process; asked with the lock held

    def update(self) -> None:
        """Adds what has been executed since the last time. Raises OSError.

        The map is read first and the introductions after it, so that what was read has its name.
        """
        with self.lock:
            self.update_locked()

    def update_locked(self) -> None:
        """As `update`, for who has the lock."""
        known, taken = self._entries, self._names.taken
        changed = [(key, value) for key, value in self._source.entries("execs") if known.get(key, _NOTHING)[0] != value]
        self._names.update()
        for key, value in changed:
            self._count(key, value)
        self.accounted, self._introduced = taken, self._names.introduced

    def _count(self, key: bytes, value: bytes) -> None:
        entry = _Entry(value, *self._numbers(value))
        before = self._entries.get(key, _NOTHING)
        if entry.began != before.began:
            before = _NOTHING  # it was taken out, and is another since
        added = entry.executions - before.executions
        if key not in self._entries:
            self._new.add(entry.program)
        self._entries[key], self._keys[entry.program] = entry, key
        meaning = self._meaning(key)
        if self._paths.get(entry.program) != meaning.shown.path:
            self._paths[entry.program] = meaning.shown.path
        if added:
            if entry.executions > 1:
                self._names.mark_used(key)
            self._renamable |= not entry.introduced or self._names.named(key) is None
            self.totals.add(meaning.shown, (added,), self.now())
            self.traits.add(meaning.traits, meaning.shown, added, self._boot_time_ns() + entry.last)

    def _meaning(self, key: bytes) -> _Meaning:
        real = self._names.labels(key)
        meaning = self._meanings.get(key)
        if meaning is None or meaning.real != real:
            try:
                traits = traits_of(self._decoder.key(key), real)
            except DecodeError:
                traits = ()
            meaning = self._meanings[key] = _Meaning(real, self._rules(real), traits)
        return meaning

    def settle(self) -> None:
        """Keeps the state if what is to be shown now could not be told from the maps again. For who has the lock."""
        if self._renamable or self.totals.changed_rows:
            self.save()
        self._renamable = self.totals.changed_rows = False

    def changes(self, *, whole: bool) -> Changes:
        """What was counted and under which labels since the last call, or ever, for `restore`."""
        changed = self._keys.changes(whole=whole)
        renamed = {self._entries[key].program for key in self._names.renamed() if key in self._entries}
        renamed |= self._new | {program for program, key in changed if key is None}
        self._new = set()
        return {
            "map": [("execs", self._source.map_id("execs"))],
            "counted": [(program, self._counted(key)) for program, key in changed],
            "names": [(program, self._name(self._keys.get(program))) for program in (self._keys if whole else renamed)],
            "paths": [*self._paths.changes(whole=whole)],
            **self.totals.changes(whole=whole),
            **self.traits.changes(whole=whole),
        }

    def _counted(self, key: bytes | None) -> tuple[int, int] | None:
        return None if key is None else (self._entries[key].executions, self._entries[key].began)

    def _name(self, key: bytes | None) -> Labels | None:
        return None if key is None else self._names.named(key)

    def restore(self, tables: Tables) -> None:
        """Goes on from what was saved, if it is of this map: else only with what was counted. Raises OSError."""
        self.totals.restore(tables, lambda labels: Labels(*labels))
        self.traits.restore(tables)
        for program, path in tables["paths"].items():
            self._paths[program] = path
        if tables["map"]["execs"] != self._source.map_id("execs"):
            return
        counted, names, known = tables["counted"], tables["names"], {}
        for key, value in self._source.entries("execs"):
            program = _Entry(value, *self._numbers(value)).program
            if program in counted:
                executions, began = counted[program]
                self._entries[key], self._keys[program] = _Entry(b"", executions, 0, 0, program, began), key
            if program in names:
                known[key] = Labels(*names[program])
        self._names.preload(known)

    @property
    def entries(self) -> int:
        """How many keys the map had when it was last read."""
        return len(self._entries)

    @property
    def filling(self) -> bool:
        """Whether the map needs room: by what it had when it was last read, and what has been introduced since."""
        expected = len(self._entries) + self._names.introduced - self._introduced
        return expected > self._source.capacity("execs") * FILLING

    def now(self) -> int:
        """The time since boot, in ns."""
        return self._boot_ns()

    def idle_since(self) -> int:
        """What was last executed before that time, in ns since boot, is idle; 0 where nothing ever is."""
        return self.now() - self._idle_ns if self._idle_ns else 0

    def path(self, program: int) -> str | None:
        """The path, as shown, of the program of that number; None: it is not known."""
        return self._paths.get(program)

    def programs(self) -> set[int]:
        """The numbers of the programs whose keys are in the map."""
        return set(self._keys)

    def forget_paths(self, keep: set[int]) -> None:
        """Forgets the paths of all other programs."""
        for program in self._paths.keys() - keep:
            del self._paths[program]

    def evict(self, *, room: bool = False) -> None:
        """Takes idle keys out of the map, where it fills or needs `room` the oldest too; ends idle series.

        What is taken out stays counted. If it is executed again its key is introduced again. Raises OSError.
        """
        with self.lock:
            self.update_locked()
            self.evict_locked(room=room)

    def evict_locked(self, *, room: bool) -> None:
        """As `evict`, for who has the lock and has updated just now."""
        chosen = self._to_take_out(room or self.filling)
        if chosen:
            self.save()
        for key in chosen:
            value = self._source.take("execs", key)
            if value is not None and value != self._entries[key].value:
                self._count(key, value)
            del self._keys[self._entries[key].program]
            del self._entries[key], self._meanings[key]
            self._names.forget(key)
        self.totals.expire(self.idle_since())
        if chosen:
            self.save()
        self.settle()

    def _to_take_out(self, room: bool) -> set[bytes]:
        at_rest, idle = self.now() - AT_REST_NS, self.idle_since()
        entries = self._entries
        chosen = {key for key, entry in entries.items() if entry.last < idle}
        surplus = len(entries) - self._source.capacity("execs") // 2
        if room and surplus > 0:
            oldest = sorted(entries, key=lambda key: entries[key].last)
            chosen.update(key for key in oldest[:surplus] if entries[key].last < at_rest)
        return chosen

    def collect(self) -> Iterator[AnyFamily]:
        """What was executed."""
        with self.lock:
            self.update_locked()
            self.settle()
            rows = {labels: row[0] for labels, row in self.totals.rows.items()}
        yield RowFamily(definitions.EXECUTIONS, rows)
        for metric, value in (
            (definitions.FOLDED, self.totals.folded),
            (definitions.EXPIRED, self.totals.expired),
            (definitions.SERIES_LIMIT, self.limit.most),
        ):
            yield RowFamily(metric, {(): value})

    def collect_traits(self, without: Collection[str] = ()) -> Iterable[AnyFamily]:
        """What of it was worth a look, but for the traits that nobody looks for. Asked after the executions."""
        with self.lock:
            counts = {(trait,): count for trait, count in self.traits.counts.items() if trait not in without}
            return [
                RowFamily(definitions.TRAITS_SEEN, counts),
                RowFamily(definitions.TRAIT_LAST_SEEN, self.traits.last_seen()),
            ]
