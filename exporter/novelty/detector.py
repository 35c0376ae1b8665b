"""From introductions to findings, step by step: look at the executed files, wait, judge, record."""

from __future__ import annotations

import itertools
import json
import logging
import math
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from exporter.catalogue.accepted_file import AcceptedFile
from exporter.catalogue.catalogue import ACCEPTED_FILE, Catalogue
from exporter.catalogue.finding import Finding
from exporter.events.copied_up import CopiedUp
from exporter.events.decode import DecodeError, Decoder, ExecKey, Introduction
from exporter.events.labels import Labels, labels_of
from exporter.host.interruption import Interrupted
from exporter.logs import Failures
from exporter.novelty.baseline import Baseline
from exporter.novelty.executed_file import executed_files
from exporter.novelty.file_content import HOST, Content, Reader
from exporter.novelty.flags import CATALOGUE_BYTES
from exporter.novelty.judge import Policy, judge
from exporter.novelty.open_findings import OpenFindings
from exporter.novelty.snapshot import NoveltySnapshot

log = logging.getLogger(__name__)

BATCH = 256
DELAYED, DELAYED_BYTES = 8192, 32 << 20  # most keys on the delay line, and bytes of their records
AGAIN = 8192  # keys to look at again, until no further ones are asked for
SETTLE_SECONDS = 0.5  # a program that deletes itself does so soon
TEMPORARY_SECONDS, TEMPORARY = 60.0, 256  # until a program in place of a temporary one is found; most that wait
COMMIT_SECONDS = 0.25  # files that are due within this time are committed together
TICK_SECONDS = 1.0
RECHECK_SECONDS = 5.0
MERGE_SECONDS = 15.0  # until a copy of the catalogue's file has what was committed
TOUCH_SECONDS, TOUCHED = 600.0, 4096  # programs executed again are written after this time or number
LOG_SECONDS, LOGGED = 10.0, 10  # findings that are logged one by one in this time


@dataclass(frozen=True)
class Introductions:
    """Access to records and keys of the probe.

    `labels` returns the labels of a key, `take_used` the keys that were executed again since its last call. `copied_up`
    gets the verdicts on files that an overlay copied up. `inherited` has the records of older probes, each with its
    decoder; they are taken out of it, and looked at first.
    """

    decoder: Decoder
    labels: Callable[[bytes], Labels]
    take_used: Callable[[], set[bytes]]
    copied_up: CopiedUp
    inherited: deque[tuple[Decoder, bytes]] = field(default_factory=deque)


@dataclass(frozen=True)
class Bounds:
    """Most programs and bytes in the catalogue, and most open findings that are exposed."""

    programs: int = 50_000
    bytes: int = CATALOGUE_BYTES
    series: int = 100


class Clock(NamedTuple):
    """Seconds on a clock that nobody can set, and seconds since the epoch."""

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time


@dataclass(frozen=True)
class Sighting:
    """A key and the files that it means, on the delay line until `due` on the monotonic clock.

    `seen` is in seconds since the epoch; `number` is that of the record, 0 without one. A `watched` key is that of a
    script that the kernel does not identify by its file, or not all of whose interpreters it shows: it is looked at
    after each execution. `record` is the execution as JSON. If it was `learning`, its programs are learnt, even if they
    are judged after that. While its programs may be temporary it `waits`, not longer than `until`.
    """

    key: bytes
    labels: Labels
    contents: tuple[Content, ...]
    record: str
    watched: bool
    seen: float
    due: float
    number: int
    learning: bool
    until: float
    waits: bool = False


class Detector:
    """Decide of each executed file whether it is new on this host. `as_json` returns the record for `findings show`.

    The caller steps it: `tick`, `take`, `look_again`, `judge`. None of them waits, but files are read at a limited
    rate. After a sqlite3.Error the same step can be repeated, also with another catalogue: nothing leaves the delay
    line before it is committed. One thread at a time; `snapshot` is immutable and may be read by any.
    """

    def __init__(
        self,
        introductions: Introductions,
        as_json: Callable[[ExecKey, Introduction], dict[str, Any]],
        reader: Reader,
        baseline: Baseline,
        accepted: AcceptedFile,
        bounds: Bounds,
        clock: Clock = Clock(),  # noqa: B008 - immutable
    ) -> None:
        self._introductions, self._as_json, self._reader, self._baseline = introductions, as_json, reader, baseline
        self._accepted, self._bounds, self._clock = accepted, bounds, clock
        self._inherited = introductions.inherited
        self._delayed: deque[Sighting] = deque()
        self._delayed_bytes = self._waiting = 0
        self._again: set[bytes] = set()
        self._executed: set[int] = set()  # programs that were executed again
        self._open = OpenFindings(bounds.series, clock.wall)
        self._catalogue: Catalogue | None = None
        self._version, self._outdated = -1, False
        self._evictions, self._evicted = 0, False
        periods = TICK_SECONDS, RECHECK_SECONDS, LOG_SECONDS, MERGE_SECONDS, TOUCH_SECONDS
        self._next = dict.fromkeys(periods, 0.0)
        self._failures = Failures(log)
        self._logged = self._unlogged = 0  # findings
        self.taken = 0
        self.snapshot = NoveltySnapshot(baseline.learning.state, baseline.learning.end)

    @property
    def committed(self) -> int:
        """Number of a record: it and all before it are judged and in the catalogue."""
        return next((sighting.number for sighting in self._delayed if sighting.number), self.taken + 1) - 1

    @property
    def room(self) -> int:
        """Number of records that `take` takes now."""
        return 0 if self._inherited else self._free

    @property
    def _free(self) -> int:
        return min(BATCH, DELAYED - len(self._delayed)) if self._delayed_bytes < DELAYED_BYTES else 0

    @property
    def patience_seconds(self) -> float:
        """Time until there is work even if no record arrives."""
        if self._free and (self._inherited or self._again):
            return 0.0
        until = min([self._next[TICK_SECONDS], *(sighting.due for sighting in itertools.islice(self._delayed, 1))])
        return max(0.0, until - self._clock.monotonic())

    # Look at files

    def take(self, catalogue: Catalogue, records: Iterable[tuple[int, bytes]]) -> None:
        """Look at the files of inherited records, then of records, ascending. Raise sqlite3.Error.

        If the files of a record cannot be looked at, those of its key will be. An interruption leaves the rest.
        """
        with suppress(Interrupted):
            self._take(catalogue, records)

    def _take(self, catalogue: Catalogue, records: Iterable[tuple[int, bytes]]) -> None:
        for _ in range(min(self._free, len(self._inherited))):
            decoder, record = self._inherited[0]
            with suppress(DecodeError):
                introduction = decoder.introduction(record)
                self._look(catalogue, introduction.key, introduction, decoder=decoder)
            self._inherited.popleft()
        for number, record in records:
            try:
                introduction = self._introductions.decoder.introduction(record)
            except DecodeError as error:  # counted where keys get their names
                log.debug("record %d: %s", number, error)
            else:
                looked = self._look(catalogue, introduction.key, introduction, number)
                if not looked and len(self._again) < AGAIN:  # else when it is executed again
                    self._again.add(introduction.key)
            self.taken = number

    def look_again(self, catalogue: Catalogue) -> None:
        """Look at keys without a record: those that were used and are new or watched. Raise sqlite3.Error."""
        for raw in list(itertools.islice(self._again, self._free)):
            program, look = catalogue.program_of_key(raw) or (None, True)
            if look:
                self._look(catalogue, raw)
            elif program is not None:
                self._executed.add(program)
            self._again.discard(raw)

    def _look(
        self,
        catalogue: Catalogue,
        raw: bytes,
        introduction: Introduction | None = None,
        number: int = 0,
        decoder: Decoder | None = None,
    ) -> bool:
        """Look at the files of a key and put them on the delay line; return false if that fails. Raise Interrupted."""
        decoder = decoder or self._introductions.decoder
        try:
            key, identities = decoder.key(raw), decoder.identities(raw)
            labels = labels_of(key, introduction) if introduction else self._introductions.labels(raw)
            record = json.dumps(self._as_json(key, introduction) if introduction else labels._asdict())
            files = executed_files(key, introduction, identities, labels)
            copied_up = key.has("copied_up")
            written = self._introductions.copied_up.written(raw) if copied_up else None
            if written is not None and files:
                files = (replace(files[0], upper_layer=written, origin=None), *files[1:])
            between = tuple(self._reader.interpreters(files[0])) if key.has("script") and files else ()
            contents = tuple(
                self._reader.look(executed, lambda identity: catalogue.program_of(identity) is not None)
                for executed in (*files, *between)
            )
            if copied_up and introduction:
                self._introductions.copied_up.judge(raw, written=not contents or contents[0].executed.upper_layer)
        except (sqlite3.Error, Interrupted):
            raise
        except Exception as error:  # noqa: BLE001 - the others must not wait for it
            self._failures.log("the files of a key cannot be looked at", error)
            return False
        if contents or introduction:
            watched = key.has("as_invoked") and bool(contents) and HOST in contents[0].named_in
            watched = watched or bool(between)
            seen, learning = self._clock.wall(), self._baseline.learning.active
            due = self._due()
            until = due + TEMPORARY_SECONDS
            self._delay(
                Sighting(raw, labels.shortened(), contents, record, watched, seen, due, number, learning, until)
            )
        return True

    def _due(self) -> float:
        return math.ceil((self._clock.monotonic() + SETTLE_SECONDS) / COMMIT_SECONDS) * COMMIT_SECONDS

    def _delay(self, sighting: Sighting) -> None:
        self._delayed.append(sighting)
        self._delayed_bytes += len(sighting.record)
        self._waiting += sighting.waits

    # Judge them

    def judge(self, catalogue: Catalogue, *, everything: bool = False) -> int:
        """Judge a batch of files that are due, or of `everything`; return the number of keys. Raise sqlite3.Error."""
        now = self._clock.monotonic()
        due = itertools.takewhile(lambda sighting: everything or sighting.due <= now, self._delayed)
        batch = list(itertools.islice(due, BATCH))
        if not batch:
            return 0
        found: list[Finding] = []
        waiting: list[Sighting] = []
        policy = self._baseline.policy
        with catalogue.transaction():
            for sighting in batch:
                may_wait = sighting.waits or self._waiting + len(waiting) < TEMPORARY
                waits = may_wait and now < sighting.until and not everything
                policy = replace(policy, learning=sighting.learning, waits=waits)
                try:
                    found_here, pending = self._judge_one(catalogue, sighting, policy)
                    found += found_here
                    waiting += [sighting] if pending else []
                except (sqlite3.Error, MemoryError):
                    raise
                except Exception as error:  # noqa: BLE001 - the others must not wait for it
                    self._failures.log("the files of a key cannot be judged", error)
            evicted = catalogue.trim(self._bounds.programs, self._bounds.bytes)
        for sighting in batch:  # committed
            self._delayed.popleft()
            self._delayed_bytes -= len(sighting.record)
            self._waiting -= sighting.waits
        for sighting in waiting:
            self._delay(replace(sighting, due=self._due(), number=0, waits=True))
        self._evictions += evicted
        self._open.add(found)
        self._evicted = self._evicted or evicted > 0
        self._log(found, last=everything)
        self._show(catalogue)
        return len(batch)

    def _judge_one(self, catalogue: Catalogue, sighting: Sighting, policy: Policy) -> tuple[list[Finding], bool]:
        """Judge the files of a key; return the new findings that are not accepted, and whether some are pending."""
        programs, found, pending = [], [], False
        for content in sighting.contents:
            verdict = judge(catalogue, content, sighting.seen, policy)
            programs.append(verdict.program)
            pending = pending or verdict.pending
            finding = verdict.finding
            if finding is None:
                if verdict.reason:
                    catalogue.add_to_total(verdict.reason)
                elif verdict.program is not None:
                    self._executed.add(verdict.program)
            elif catalogue.add_finding(finding, sighting.record) and not self._open.is_accepted(finding):
                catalogue.add_to_total(finding.reason)
                found.append(finding)
        if None not in programs:
            program, written = programs[0] if programs else None, self._introductions.copied_up.written(sighting.key)
            catalogue.name_key(sighting.key, sighting.labels, program, watched=sighting.watched, written=written)
        return found, pending

    def _show(self, catalogue: Catalogue) -> None:
        self.snapshot = NoveltySnapshot(
            state=self._baseline.learning.state,
            learning_end=self._baseline.learning.end,
            totals=catalogue.totals(),
            open=self._open.rows,
            open_findings=self._open.count,
            programs=catalogue.count("programs"),
            evictions=self._evictions,
        )

    # Do from time to time

    def _is_time(self, period: float) -> bool:
        now = self._clock.monotonic()
        if now < self._next[period]:
            return False
        self._next[period] = now + period
        return True

    def tick(self, catalogue: Catalogue) -> None:
        """Advance learning; adopt changes by other processes; collect used keys. Raise sqlite3.Error."""
        if not self._is_time(TICK_SECONDS) and catalogue is self._catalogue:
            return
        self._log(())
        if catalogue is not self._catalogue:
            self.begin(catalogue)
        was_learning = self._baseline.learning.active
        self._baseline.tick(catalogue)
        if (was_learning and not self._baseline.learning.active) or self._is_time(MERGE_SECONDS):
            catalogue.merge()
        if len(self._again) < AGAIN and self._is_time(RECHECK_SECONDS):
            self._again |= self._introductions.take_used()
            self._outdated, self._evicted = self._outdated or self._evicted, False
        if self._accepted.reload() or catalogue.version != self._version or self._open.expired or self._outdated:
            self._refresh(catalogue)
        elif was_learning:
            self._show(catalogue)
        if len(self._executed) >= TOUCHED or (self._executed and self._is_time(TOUCH_SECONDS)):
            with catalogue.transaction():
                catalogue.touch(self._executed, self._clock.wall())
            self._executed.clear()

    def begin(self, catalogue: Catalogue) -> None:
        """Continue with another catalogue, which is seeded if it is new. Raise sqlite3.Error."""
        self._baseline.begin(catalogue, self._clock.wall())
        with catalogue.transaction():
            catalogue.set(ACCEPTED_FILE, str(self._accepted.path.absolute()) if self._accepted.path else "")
        self._refresh(catalogue)
        catalogue.merge()
        self._catalogue = catalogue

    def _refresh(self, catalogue: Catalogue) -> None:
        self._outdated, version = True, catalogue.version
        self._open.refresh(catalogue, self._accepted.value)
        self._outdated, self._version = False, version
        self._show(catalogue)

    def _log(self, found: Sequence[Finding], *, last: bool = False) -> None:
        """Log findings, at most LOGGED in LOG_SECONDS; then the number of the rest, at once after the `last` ones."""
        if self._is_time(LOG_SECONDS):
            self._log_number()
            self._logged = 0
        logged = found[: LOGGED - self._logged]
        for finding in logged:
            log.warning("finding %s: %s %s", finding.id, finding.reason, finding.path)
        self._logged += len(logged)
        self._unlogged += len(found) - len(logged)
        if last:
            self._log_number()

    def _log_number(self) -> None:
        if self._unlogged:
            log.warning("%d more findings: exec_exporter findings list", self._unlogged)
        self._unlogged = 0
