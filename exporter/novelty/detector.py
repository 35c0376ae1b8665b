"""Decides of each file that was executed whether it is new here, in a thread of its own.

Introductions come in through the inbox, and scrapes read a finished `NoveltySnapshot`: neither waits for a disk.
"""

from __future__ import annotations

import itertools
import json
import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from exporter.catalogue.accepted_file import AcceptedFile
from exporter.catalogue.catalogue import ACCEPTED_FILE, Catalogue
from exporter.catalogue.finding import Finding
from exporter.catalogue.learning import Learning
from exporter.catalogue.recovery import RecoveringCatalogue
from exporter.events.decode import DecodeError, Decoder, ExecKey, Introduction
from exporter.events.labels import Labels, labels_of
from exporter.events.names import Names
from exporter.novelty.executed_file import ExecutedFile, executed_file_of_key, executed_files
from exporter.novelty.file_content import HOST, Content, Reader
from exporter.novelty.introduction_queue import Inbox, Item
from exporter.novelty.judge import Policy, judge
from exporter.novelty.judge import seed as take_in_seed
from exporter.novelty.open_findings import OpenFindings
from exporter.novelty.programs_at_start import running
from exporter.novelty.snapshot import NoveltySnapshot

log = logging.getLogger(__name__)

BATCH = 256
SETTLING = 8192  # sightings that are looked at and not yet judged
SETTLE_SECONDS = 0.5  # a program that deletes itself does so soon
TICK_SECONDS = 1.0
RECHECK_SECONDS = 5.0  # scripts as invoked, keys without a meaning
TOUCH_SECONDS = 600.0
TOUCHED = 4096  # programs that wait for it at most
PACKAGES = "packages"
LOGGED = 10  # findings at once

Record = Callable[[ExecKey, Introduction], dict[str, Any]]


@dataclass(frozen=True)
class Sighting:
    """A key, and the files that its introduction showed.

    `seen` is in seconds since the epoch, `due`, when they are judged, on the monotonic clock. A `watched` script is not
    told by the kernel by its file: it is looked at again whenever it was executed.
    """

    raw: bytes
    labels: Labels
    watched: bool
    contents: tuple[Content, ...]
    record: dict[str, Any]
    seen: float
    due: float
    number: int = 0  # of the record; 0: there was none


class Novelty:
    """The novel binaries of this host. `record` makes what `findings show` prints of an introduction."""

    def __init__(
        self,
        recovering: RecoveringCatalogue,
        names: Names,
        decoder: Decoder,
        reader: Reader,
        learning: Learning,
        accepted: AcceptedFile,
        record: Record,
        max_entries: int = 50_000,
        series_limit: int = 100,
        trust_packages: bool = True,
    ) -> None:
        self._recovering, self._names, self._decoder = recovering, names, decoder
        self._reader, self._learning, self._accepted, self._record = reader, learning, accepted, record
        self._max_entries, self._trust_packages = max_entries, trust_packages
        self._installed: frozenset[str] | None = None
        self._inbox = Inbox()
        self._settling: deque[Sighting] = deque()
        self._to_touch: set[int] = set()
        self._open = OpenFindings(series_limit)
        self._catalogue: Catalogue | None = None
        self.judged = 0  # of the records in the order in which they came, so many are decided and written down
        self._taken = 0
        self._version = -1
        self._outdated = False
        self._evictions = 0
        self._next = dict.fromkeys((TICK_SECONDS, RECHECK_SECONDS, TOUCH_SECONDS), 0.0)
        self._view = NoveltySnapshot("lost" if recovering.catalogue is None else "learning", learning.end)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="novelty", daemon=True)

    def observe(self, raw: bytes, key: ExecKey, introduction: Introduction, number: int) -> None:
        """Takes note of an introduction, the how manieth record it is, without waiting for anything."""
        self._inbox.put(Item(raw, key, introduction, number))

    @property
    def view(self) -> NoveltySnapshot:
        """What there is to show now."""
        return replace(self._view, errors=self._recovering.errors, deferred=self._inbox.deferred)

    def start(self) -> None:
        """Begins to judge. A catalogue that is not new is read first: counters go on from where they were."""
        self._learning.restart()
        catalogue = self._recovering.catalogue
        try:
            if catalogue and catalogue.get("seeded"):
                self._begin(catalogue)
        except sqlite3.Error as error:
            self._recovering.failed(error)
        self._thread.start()

    def close(self) -> None:
        """Judges what has come in, and ends."""
        self._stop.set()
        self._inbox.close()
        if self._thread.is_alive():
            self._thread.join()
        self._recovering.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._turn()
        while len(self._inbox) or self._settling:  # what has come in until now is not left behind
            before = len(self._inbox), len(self._settling)
            self._turn(last=True)
            if (len(self._inbox), len(self._settling)) == before:
                return

    def _turn(self, last: bool = False) -> None:
        """One round: whatever goes wrong in it is counted and said, and what was under way is tried again."""
        try:
            self._tick()
            catalogue = self._recovering.catalogue
            if catalogue is None:
                self._stop.wait(TICK_SECONDS)
                return
            self._take_in(catalogue)
            self._judge(catalogue, last)
            self.judged = min(self._undecided(), default=self._taken + 1) - 1
        except sqlite3.Error as error:
            self._recovering.failed(error)
            self._stop.wait(TICK_SECONDS)
        except Exception:
            log.exception("novelty fails")
            self._stop.wait(TICK_SECONDS)

    def _undecided(self) -> Iterator[int]:
        """The oldest record of each place where one may wait."""
        yield from itertools.islice((sighting.number for sighting in self._settling if sighting.number), 1)
        first = self._inbox.first
        if first is not None:
            yield first

    # From introductions to what their files contain

    def _take_in(self, catalogue: Catalogue) -> None:
        if len(self._settling) >= SETTLING:
            self._stop.wait(self._patience())
            return
        items = self._inbox.take(BATCH, self._patience())
        for item in items:
            self._taken = item.number
            try:
                labels = labels_of(item.key, item.introduction)
                files = executed_files(item.key, item.introduction, self._decoder.identities(item.raw), labels)
                record = self._record(item.key, item.introduction)
                self._look(catalogue, item.raw, item.key, labels, files, record, item.number)
            except Exception:  # whatever is wrong with one, the others have come with it and will not come again
                log.exception("an introduction cannot be looked at; its key will be")
                self._inbox.miss([item.raw])
        for raw in self._inbox.take_missed(BATCH):
            self._look_at_key(catalogue, raw)

    def _patience(self) -> float:
        """How long there is nothing to do but wait for introductions, in seconds."""
        until = self._next[TICK_SECONDS]
        if self._settling:
            until = min(until, self._settling[0].due)
        return max(0.0, until - time.monotonic())

    def _look_at_key(self, catalogue: Catalogue, raw: bytes) -> None:
        """A key whose introduction could not be taken, or whose script may have changed."""
        try:
            key, identities = self._decoder.key(raw), self._decoder.identities(raw)
        except DecodeError:
            return
        labels = self._names.labels(raw)
        executed = executed_file_of_key(key, identities, labels)
        if executed:
            self._look(catalogue, raw, key, labels, (executed,), dict(labels._asdict()))

    def _look(
        self,
        catalogue: Catalogue,
        raw: bytes,
        key: ExecKey,
        labels: Labels,
        files: tuple[ExecutedFile, ...],
        record: dict[str, Any],
        number: int = 0,
    ) -> None:
        contents = tuple(
            self._reader.look(executed, lambda identity: catalogue.program_of(identity) is not None)
            for executed in files
        )
        watched = key.has("as_invoked") and bool(contents) and HOST in contents[0].named_in
        due = time.monotonic() + (0.0 if self._learning.active else SETTLE_SECONDS)
        self._settling.append(Sighting(raw, labels, watched, contents, record, time.time(), due, number))

    # From contents to findings

    def _judge(self, catalogue: Catalogue, last: bool) -> None:
        now = time.monotonic()
        ripe = itertools.takewhile(lambda sighting: last or sighting.due <= now, self._settling)
        due = list(itertools.islice(ripe, BATCH))
        if not due:
            return
        found: list[Finding] = []
        with catalogue.transaction():
            for sighting in due:
                try:
                    self._judge_one(catalogue, sighting, found)
                except (sqlite3.Error, MemoryError):
                    raise
                except Exception:  # one that cannot be judged must not hold up the others
                    log.exception("%s cannot be judged", sighting.labels.path)
            evicted = catalogue.trim(self._max_entries)
        # only what has been written is shown, and taken out of the queue
        for _ in due:
            self._settling.popleft()
        self._recovering.succeeded()
        self._evictions += evicted
        self._outdated = self._outdated or evicted > 0
        self._open.add(found)
        self._say(found)
        self._show(catalogue)

    def _judge_one(self, catalogue: Catalogue, sighting: Sighting, found: list[Finding]) -> None:
        programs = []
        policy = Policy(self._learning.active, self._installed or frozenset(), self._reader.is_gone)
        for content in sighting.contents:
            verdict = judge(catalogue, content, sighting.seen, policy)
            programs.append(verdict.program)
            finding = verdict.finding
            if finding is None:
                if verdict.reason:
                    catalogue.add_to_total(verdict.reason)
                else:
                    self._to_touch.add(verdict.program)
            elif catalogue.add_finding(finding, json.dumps(sighting.record)) and not self._open.is_accepted(finding):
                catalogue.add_to_total(finding.reason)
                found.append(finding)
        catalogue.name_key(sighting.raw, sighting.labels, programs[0] if programs else None, sighting.watched)

    def _say(self, found: list[Finding]) -> None:
        for finding in found[:LOGGED]:
            log.warning("finding %s: %s %s", finding.id, finding.reason, finding.path)
        if len(found) > LOGGED:
            log.warning("%d more findings: exec_exporter findings list", len(found) - LOGGED)

    def _show(self, catalogue: Catalogue) -> None:
        self._view = NoveltySnapshot(
            state=self._learning.state,
            learning_end=self._learning.end,
            totals=catalogue.totals(),
            open=self._open.rows,
            open_findings=self._open.count,
            programs=catalogue.count("programs"),
            evictions=self._evictions,
        )

    # What is done from time to time

    def _is_time(self, period: float) -> bool:
        now = time.monotonic()
        if now < self._next[period]:
            return False
        self._next[period] = now + period
        return True

    def _tick(self) -> None:
        if not self._is_time(TICK_SECONDS):
            return
        self._recovering.check()
        catalogue = self._recovering.catalogue
        if catalogue is None:
            self._view = replace(self._view, state="lost")
            return
        if catalogue is not self._catalogue:
            self._begin(catalogue)
        if self._learning.active:
            with catalogue.transaction():
                self._learning.tick(catalogue)
            self._show(catalogue)
        if not self._learning.active and self._installed is None:
            self._installed = self._packages_of(catalogue)
        changed = self._accepted.reload()
        if catalogue.version != self._version or changed or self._open.expired:
            self._version = catalogue.version
            self._learning.load(catalogue)
            self._open.refresh(catalogue, self._accepted.value)
            self._show(catalogue)
        if self._is_time(RECHECK_SECONDS):
            self._recheck(catalogue)
            if self._outdated:  # some of the findings have been forgotten
                self._outdated = False
                self._open.refresh(catalogue, self._accepted.value)
                self._show(catalogue)
        if len(self._to_touch) >= TOUCHED or (self._to_touch and self._is_time(TOUCH_SECONDS)):
            with catalogue.transaction():
                catalogue.touch(self._to_touch, time.time())
            self._to_touch.clear()

    def _begin(self, catalogue: Catalogue) -> None:
        """The first time with a names: what runs now has run before."""
        if not catalogue.get("seeded"):
            contents = [self._reader.look(executed, lambda _: False) for executed in running()]
            now = time.time()
            with catalogue.transaction():
                for content in contents:
                    take_in_seed(catalogue, content, now, self._reader.reads)
                catalogue.set("seeded", now)
        with catalogue.transaction():
            catalogue.set(ACCEPTED_FILE, str(self._accepted.path.absolute()) if self._accepted.path else "")
        self._learning.load(catalogue)
        self._catalogue, self._version, self._installed = catalogue, catalogue.version, None
        self._open.refresh(catalogue, self._accepted.value)
        self._show(catalogue)

    def _packages_of(self, catalogue: Catalogue) -> frozenset[str]:
        """The packages that were there when learning ended: their programs are known, though they may not have run."""
        if not self._trust_packages:
            return frozenset()
        kept = catalogue.get(PACKAGES)
        if kept is None:
            kept = json.dumps(sorted(self._reader.packages()))
            with catalogue.transaction():
                catalogue.set(PACKAGES, kept)
        return frozenset(json.loads(kept))

    def _recheck(self, catalogue: Catalogue) -> None:
        """Of what was executed since the last time: keys that mean nothing yet, and scripts that may have changed."""
        missed = []
        for raw in self._names.take_used():
            meaning = catalogue.key(raw)
            if meaning is None or meaning[1]:
                missed.append(raw)
            elif meaning[0] is not None:
                self._to_touch.add(meaning[0])
        self._inbox.miss(missed)
