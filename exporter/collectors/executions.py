"""The map of executions, added up by label set."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

from exporter.collectors.traits import TraitTotals
from exporter.compiler.ctypes_layout import u64_reader
from exporter.escape import LABEL_BYTES, shortened
from exporter.events.copied_up import CopiedUp
from exporter.events.decode import DecodeError, Decoder
from exporter.events.labels import Labels
from exporter.events.names import Names
from exporter.events.traits import UPPER_LAYER, traits_of
from exporter.host.clocks import boot_ns
from exporter.metrics import definitions
from exporter.metrics.family import AnyFamily, RowFamily
from exporter.metrics.series import OTHER, Limit, Totals
from exporter.metrics.tracked_dict import Changes, Tables, TrackedDict
from exporter.probe.probe import Probe

NS_PER_SECOND = 1_000_000_000
AT_REST_NS = NS_PER_SECOND // 4  # since its last execution, until a key may be removed: another one takes microseconds
FILLING = 3 / 4  # of the map
UNJUDGED_NS = 60 * NS_PER_SECOND  # a file that was copied up and not judged until then counts as written to


class Clock(NamedTuple):
    """Time since boot, and since the epoch, in ns."""

    boot_ns: Callable[[], int] = boot_ns
    wall_ns: Callable[[], int] = time.time_ns


class _Entry(NamedTuple):
    """An entry of the map as last read: the raw value and its numbers."""

    value: bytes
    executions: int
    introduced: int
    last: int
    program: int
    began: int


_NOTHING = _Entry(b"", 0, 0, 0, 0, 0)


class _Meaning(NamedTuple):
    """Labels of a key before and after the path rules, and its traits, with UPPER_LAYER only if that is certain."""

    real: Labels
    shown: Labels
    traits: tuple[str, ...]
    copied_up: bool


class Executions:
    """Executions by label set.

    Several keys may share labels, and a key introduced late was counted as unknown before. Counts stay with the labels
    they were added to; only later executions are added to new labels. So no series ever decreases, and all series and
    `totals.expired` together are the sum of the map and of the entries removed from it.

    Executions of files that were copied up count for the trait UPPER_LAYER once `copied_up` says that the file was
    written to; without it at once. Labels have at most `label_bytes`. One thread at a time: callers hold the pipeline's
    lock.
    """

    def __init__(
        self,
        probe: Probe,
        names: Names,
        decoder: Decoder,
        limit: Limit,
        clock: Clock = Clock(),  # noqa: B008 - immutable
        label_bytes: int = LABEL_BYTES,
        copied_up: CopiedUp | None = None,
    ) -> None:
        self._probe, self._names, self._decoder, self._clock = probe, names, decoder, clock
        self._label_bytes, self._copied_up = label_bytes, copied_up
        self._numbers = u64_reader(probe.structs["execs"], "executions", "introduced", "last", "program", "began")
        self._entries: dict[bytes, _Entry] = {}
        self._meanings: dict[bytes, _Meaning] = {}
        self._keys: TrackedDict[int, bytes] = TrackedDict()  # by program
        self._paths: TrackedDict[int, str] = TrackedDict()
        self._unjudged: TrackedDict[int, tuple[int, int, Labels]] = TrackedDict()  # executions, the last one, labels
        self._new: set[int] = set()  # programs that have come since the last save
        self._introduced = 0  # keys, when the map was last read
        self._added_ns = 0  # since boot: when entries were last added
        self.limit = limit
        self.totals: Totals[Labels] = Totals(limit, lambda labels: Labels(OTHER, OTHER, labels.stdin_type))
        self.traits = TraitTotals()
        self._renamable = False

    def read(self) -> list[tuple[bytes, bytes]]:
        """Return the entries of the map that have changed since they were last added. Raise OSError."""
        known = self._entries
        return [(key, value) for key, value in self._probe.entries("execs") if known.get(key, _NOTHING)[0] != value]

    def add(self, entries: Iterable[tuple[bytes, bytes]]) -> None:
        """Count entries that were read; their introductions must have been named before."""
        for key, value in sorted(entries, key=lambda entry: self._numbers(entry[1])[-1]):  # the oldest begins a series
            self._count(key, value)
        self._introduced, self._added_ns = self._names.introduced, self.now()
        for program in list(self._unjudged):
            self._judge(program, self._added_ns - UNJUDGED_NS)

    def _count(self, key: bytes, value: bytes) -> None:
        entry = _Entry(value, *self._numbers(value))
        before = self._entries.get(key, _NOTHING)
        if entry.began != before.began:
            before = _NOTHING  # the key was removed and inserted again
        added = entry.executions - before.executions
        if key not in self._entries:
            self._new.add(entry.program)
        self._entries[key], self._keys[entry.program] = entry, key
        self.rename(key)
        meaning = self._meaning(key)
        if added:
            if entry.executions > 1:
                self._names.mark_used(key)
            names = self._names
            self._renamable |= not entry.introduced or names.named(key) is None or key in names.unsaved
            now = self.now()
            since = entry.began if before is _NOTHING else max(entry.began, self._added_ns)
            self.totals.add(meaning.shown, (added,), now, self.unix(since))
            self.traits.add(meaning.traits, meaning.shown, added, self.unix(entry.last))
            if meaning.copied_up:
                executions, *_ = self._unjudged.get(entry.program, (0,))
                self._unjudged[entry.program] = (executions + added, entry.last, meaning.shown)

    def rename(self, key: bytes) -> None:
        """Use the present name of a key, if its program is known, for what is counted from now on."""
        entry = self._entries.get(key)
        if entry and self._paths.get(entry.program) != self._meaning(key).shown.path:
            self._paths[entry.program] = self._meaning(key).shown.path

    def _judge(self, program: int, overdue: int) -> None:
        """Count executions of a copied-up file for the trait, or forget them, once the file is judged or overdue."""
        executions, last, labels = self._unjudged[program]
        key = self._keys.get(program)
        written = self._copied_up.written(key) if self._copied_up and key else True
        if written is None and last > overdue:
            return
        if written is not False:
            self.traits.add((UPPER_LAYER,), labels, executions, self.unix(last))
        del self._unjudged[program]

    def _meaning(self, key: bytes) -> _Meaning:
        real = self._names.labels(key)
        meaning = self._meanings.get(key)
        if meaning is None or meaning.real != real:
            try:
                decoded = self._decoder.key(key)
                traits, copied_up = traits_of(decoded, real), decoded.has("copied_up")
            except DecodeError:
                traits, copied_up = (), False
            meaning = self._meanings[key] = _Meaning(real, self._names.shown(key), traits, copied_up)
        return meaning

    def set_rules(self, rules: Callable[[Labels], Labels]) -> None:
        """Count by other rules from now on; what was counted stays with its labels."""
        self._names.set_rules(rules)
        self._meanings = {}
        for key, entry in self._entries.items():
            self._paths[entry.program] = self._meaning(key).shown.path

    @property
    def must_save(self) -> bool:
        """True if the next process could not derive the present values from the maps.

        There are new or expired series, or counts under labels that may still change or that nobody else has.
        """
        return self._renamable or self.totals.changed_rows

    def changes(self, *, whole: bool) -> Changes:
        """Return the tables for `restore`: the changes since the last call, or everything."""
        changed = self._keys.changes(whole=whole)
        renamed = {self._entries[key].program for key in self._names.renamed() if key in self._entries}
        renamed |= self._new | {program for program, key in changed if key is None}
        self._new = set()
        self._names.unsaved -= self._entries.keys()
        self._renamable = self.totals.changed_rows = False
        return {
            "map": [("execs", self._probe.map_id("execs"))],
            "counted": [(program, self._counted(key)) for program, key in changed],
            "names": [(program, self._name(self._keys.get(program))) for program in (self._keys if whole else renamed)],
            "paths": [*self._paths.changes(whole=whole)],
            "unjudged": [*self._unjudged.changes(whole=whole)],
            **self.totals.changes(whole=whole),
            **self.traits.changes(whole=whole),
        }

    def _counted(self, key: bytes | None) -> tuple[int, int] | None:
        return None if key is None else (self._entries[key].executions, self._entries[key].began)

    def _name(self, key: bytes | None) -> tuple[str, ...] | None:
        return None if key is None else self._names.saved(key)

    def restore(self, tables: Tables) -> None:
        """Continue from saved tables; if they are of another map, only with the totals. Raise OSError."""
        most = self._label_bytes
        self.totals.restore(tables, lambda saved: Labels(*saved).shortened(most))
        self.traits.restore(tables, most)
        for program, path in tables["paths"].items():
            self._paths[program] = shortened(path, most)
        for program, (executions, last, labels) in tables.get("unjudged", {}).items():
            self._unjudged[program] = (executions, last, Labels(*labels).shortened(most))
        if tables["map"]["execs"] != self._probe.map_id("execs"):
            return
        counted, names, known = tables["counted"], tables["names"], {}
        for key, value in self._probe.entries("execs"):
            program = _Entry(value, *self._numbers(value)).program
            if program in counted:
                executions, began = counted[program]
                self._entries[key], self._keys[program] = _Entry(b"", executions, 0, 0, program, began), key
            if program in names:
                known[key] = names[program]
        self._names.restore(known)

    @property
    def entries(self) -> int:
        """Number of keys in the map when it was last read."""
        return len(self._entries)

    @property
    def filling(self) -> bool:
        """True if the map needs room, judged by its last reading and the introductions since."""
        expected = len(self._entries) + self._names.introduced - self._introduced
        return expected > self._probe.capacity("execs") * FILLING

    def now(self) -> int:
        """Return the time since boot in ns."""
        return self._clock.boot_ns()

    def unix(self, boot_ns: int) -> float:
        """Return a time since boot in seconds since the epoch."""
        return (self._clock.wall_ns() - self.now() + boot_ns) / NS_PER_SECOND

    def path(self, program: int) -> str | None:
        """Return the path, as shown, of the program with that number; None if unknown."""
        return self._paths.get(program)

    def programs(self, without: Collection[bytes] = ()) -> set[int]:
        """Return the numbers of the programs whose keys are in the map, without those of the given keys."""
        return self._keys.keys() - {self._entries[key].program for key in without}

    def evictable(self, idle_since: int, *, room: bool) -> set[bytes]:
        """Return the keys to remove: idle ones, and with `room` the oldest until the map is half empty."""
        entries = self._entries
        chosen = {key for key, entry in entries.items() if entry.last < idle_since}
        surplus = len(entries) - self._probe.capacity("execs") // 2
        if room and surplus > 0:
            at_rest = self.now() - AT_REST_NS
            oldest = sorted(entries, key=lambda key: entries[key].last)
            chosen.update(key for key in oldest[:surplus] if entries[key].last < at_rest)
        return chosen

    def evict(self, keys: Iterable[bytes]) -> None:
        """Remove keys from the map; their counts stay. Raise OSError."""
        for key in keys:
            value = self._probe.take("execs", key)
            if value is not None and value != self._entries[key].value:
                self._count(key, value)
            entry = self._entries[key]
            if entry.program in self._unjudged:
                self._judge(entry.program, entry.last)
            del self._keys[entry.program]
            del self._entries[key], self._meanings[key]
            self._names.forget(key)

    def expire(self, idle_since: int, keep: set[int]) -> None:
        """End idle series, and forget the paths of all programs but those to keep."""
        self.totals.expire(idle_since)
        for program in self._paths.keys() - keep:
            del self._paths[program]

    def families(self) -> list[AnyFamily]:
        """Return the metrics of executions, and of the limit of series."""
        return [
            RowFamily(
                definitions.EXECUTIONS,
                {labels: row[0] for labels, row in self.totals.rows.items()},
                self.totals.created,
            ),
            RowFamily(definitions.FOLDED, {(): self.totals.folded}),
            RowFamily(definitions.EXPIRED, {(): self.totals.expired}),
            RowFamily(definitions.SERIES_LIMIT, {(): self.limit.most}),
        ]

    def trait_families(self, without: Collection[str]) -> list[AnyFamily]:
        """Return the metrics of traits, without traits that are not detected."""
        counts = {(trait,): count for trait, count in self.traits.counts.items() if trait not in without}
        return [
            RowFamily(definitions.TRAITS_SEEN, counts),
            RowFamily(definitions.TRAIT_LAST_SEEN, self.traits.last_seen()),
        ]
