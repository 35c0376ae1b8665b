"""The detector, stepped by hand: files on a real filesystem, a real catalogue, a clock that the test advances."""

import sqlite3
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from exporter.catalogue import learning
from exporter.catalogue.catalogue import Catalogue
from exporter.events.decode import Decoder
from exporter.events.labels import Labels
from exporter.novelty import detector as detector_module
from exporter.novelty.detector import (
    COMMIT_SECONDS,
    LOG_SECONDS,
    LOGGED,
    RECHECK_SECONDS,
    SETTLE_SECONDS,
    TEMPORARY_SECONDS,
    TICK_SECONDS,
    TOUCH_SECONDS,
)
from exporter.probe.exec_header import enum
from tests.unit.layouts import LAYOUTS
from tests.unit.novelty.host import Host, key_of, record_of


@pytest.fixture
def host(tmp_path):
    host = Host(tmp_path)
    host.step()
    yield host
    host.catalogue.close()


def test_programs_are_learnt_until_learning_ends(tmp_path):
    host = Host(tmp_path, learning=60.0)
    learnt, new = host.program(), host.program()
    host.execute(learnt)
    assert host.step() == 0, "it may still be removed"
    assert host.step(SETTLE_SECONDS) == 1
    assert host.detector.snapshot.state == "learning"
    assert host.detector.snapshot.learning_end == 1060.0
    host.step(59.0 - SETTLE_SECONDS)
    assert host.detector.snapshot.state == "learning"
    late = host.program()
    host.execute(late)
    host.step()
    host.step(1.0)
    assert host.detector.snapshot.state == "watching"
    host.execute(learnt)
    host.execute(late)
    host.execute(new)
    host.step()
    host.step(SETTLE_SECONDS)
    assert host.found() == {str(new): "new_path"}
    assert host.detector.snapshot.totals == {"new_path": 1}
    assert {row[2] for row in host.detector.snapshot.open} == {str(new)}
    assert host.detector.snapshot.programs == 3


def learnt_builds(directory):
    """Return a host that has learnt that a user removes `program` in directories with names of their own."""
    host = Host(directory, learning=60.0)
    built = host.build()
    host.execute(built)
    host.step()
    host.step(SETTLE_SECONDS)
    built.unlink()
    host.step(SETTLE_SECONDS)
    host.step(60.0)
    assert host.detector.snapshot.state == "watching"
    return host


def test_a_program_that_is_removed_later_is_temporary(tmp_path):
    host = learnt_builds(tmp_path)
    built = host.build()
    host.execute(built)
    host.step()
    for _ in range(20):
        assert host.step(SETTLE_SECONDS) == 1
    assert host.detector.committed == 2, "its record need not stay"
    built.unlink()
    host.step(SETTLE_SECONDS)
    assert host.step(SETTLE_SECONDS) == 0
    assert host.detector.snapshot.totals == {"temporary": 1}
    assert host.found() == {}


def test_a_program_in_place_of_a_temporary_one_is_found_if_it_stays(tmp_path):
    host = learnt_builds(tmp_path)
    built = host.build()
    host.execute(built)
    host.step()
    for _ in range(int(TEMPORARY_SECONDS / SETTLE_SECONDS)):
        host.step(SETTLE_SECONDS)
    assert host.found() == {}
    host.step(SETTLE_SECONDS)
    assert host.found() == {str(built): "new_path"}


def test_a_stop_does_not_wait_for_temporary_programs(tmp_path):
    host = learnt_builds(tmp_path)
    built = host.build()
    host.execute(built)
    host.step()
    host.detector.judge(host.catalogue, everything=True)
    assert host.found() == {str(built): "new_path"}


def test_few_temporary_programs_wait(tmp_path, monkeypatch):
    monkeypatch.setattr(detector_module, "TEMPORARY", 2)
    host = learnt_builds(tmp_path)
    built = [host.build() for _ in range(3)]
    for program in built:
        host.execute(program)
    host.step()
    host.step(SETTLE_SECONDS)
    assert host.found() == {str(built[2]): "new_path"}


def test_a_new_program_settles_before_it_is_judged(host):
    host.execute(host.program())
    assert host.step() == 0
    assert host.detector.patience_seconds == SETTLE_SECONDS
    assert host.step(SETTLE_SECONDS - 0.01) == 0
    assert (host.detector.taken, host.detector.committed, host.found()) == (1, 0, {})
    assert host.step(0.01) == 1
    assert (host.detector.committed, len(host.found())) == (1, 1)


def test_files_that_are_due_soon_after_each_other_are_committed_together(host):
    for seconds in (0.01, 0.1, 0.1):
        host.execute(host.program())
        assert host.step(seconds) == 0
    assert host.step(SETTLE_SECONDS) == 0
    assert host.step(COMMIT_SECONDS) == 3


def test_a_program_that_is_deleted_while_it_settles_is_deleted(host):
    program, other = host.program(), host.program()
    host.execute(program)
    host.execute(other)
    host.step()
    program.unlink()
    host.step(SETTLE_SECONDS)
    assert host.found() == {str(program): "deleted", str(other): "new_path"}


def test_everything_is_judged_at_the_end(host):
    host.execute(host.program())
    host.step()
    assert host.detector.judge(host.catalogue, everything=True) == 1
    assert len(host.found()) == 1


def test_a_key_whose_record_found_no_room_is_looked_at_when_it_is_used(host):
    program = host.program()
    raw = key_of(program)
    host.labels[raw] = Labels(str(program), "/ld.so", "pipe")
    host.used = {raw}
    host.step(RECHECK_SECONDS - TICK_SECONDS)
    assert host.used == {raw}
    assert host.step(TICK_SECONDS) == 0, "it is asked for now"
    assert host.step(SETTLE_SECONDS) == 1
    assert host.found() == {str(program): "new_path"}
    assert host.rows("SELECT path, interpreter, stdin_type FROM keys") == [(str(program), "/ld.so", "pipe")]
    host.used = {raw}
    host.step(RECHECK_SECONDS)
    assert host.step(SETTLE_SECONDS) == 0, "it is in the catalogue"


def test_a_key_without_a_name_waits_for_it(host):
    host.used = {key_of(host.program())}
    host.step(RECHECK_SECONDS)
    assert host.step(SETTLE_SECONDS) == 0
    assert host.rows("SELECT count(*) FROM keys") == [(0,)]


def test_programs_that_are_executed_again_are_written_down_now_and_then(host):
    program = host.program()
    host.execute(program)
    host.step()
    host.step(SETTLE_SECONDS)
    (before,) = host.rows("SELECT last_seen FROM programs")
    host.used = {key_of(program)}
    host.step(TOUCH_SECONDS)
    host.step(TICK_SECONDS)
    ((after,), ((now,),)) = before, host.rows("SELECT last_seen FROM programs")
    assert now == host.now > after + TOUCH_SECONDS - 1


@pytest.mark.parametrize("bad", [b"", b"x" * 40], ids=["damaged", "senseless"])
def test_a_record_that_cannot_be_decoded_does_not_hold_up_the_others(host, bad):
    programs = [host.program() for _ in range(3)]
    for program, raw in zip(programs, (None, bad, None), strict=True):
        host.execute(program, raw)
    host.step()
    host.step(SETTLE_SECONDS)
    assert host.found().keys() == {str(programs[0]), str(programs[2])}
    assert host.detector.committed == 3


def test_files_that_cannot_be_looked_at_do_not_hold_up_the_others(host, monkeypatch):
    programs = [host.program() for _ in range(3)]
    look, failing = host.reader.look, str(programs[1])
    monkeypatch.setattr(host.reader, "look", lambda file, known: 1 // (file.path != failing) and look(file, known))
    for program in programs:
        host.execute(program)
    host.step()
    host.step(SETTLE_SECONDS)
    assert host.found().keys() == {str(programs[0]), str(programs[2])}
    assert host.detector.committed == 3


def test_a_file_that_cannot_be_looked_at_is_looked_at_again_by_its_key(host, monkeypatch):
    program = host.program()
    raw = key_of(program)
    host.labels[raw] = Labels(str(program), "", "null")
    look, failures = host.reader.look, iter([True])
    monkeypatch.setattr(host.reader, "look", lambda file, known: 1 // 0 if next(failures, False) else look(file, known))
    host.execute(program)
    host.step()
    host.step(SETTLE_SECONDS)
    assert host.found() == {str(program): "new_path"}


def test_a_catalogue_that_fails_in_the_middle_is_tried_again_and_nothing_is_counted_twice(host):
    programs = [host.program() for _ in range(3)]
    for program in programs:
        host.execute(program)
    host.step()
    host.break_writes()
    for _ in range(2):
        with pytest.raises(sqlite3.Error, match="broken"):
            host.step(SETTLE_SECONDS)
        assert host.detector.committed == 0
        assert host.rows("SELECT count(*) FROM programs") == [(0,)], "all of a batch or nothing"
        assert host.detector.snapshot.totals == {}, "what is not written is not shown"
    host.mend_writes()
    assert host.step() == 3
    assert host.found().keys() == {str(program) for program in programs}
    assert host.detector.snapshot.totals == {"new_path": 3}
    assert host.detector.committed == 3


def test_a_catalogue_that_cannot_be_read_leaves_the_record_in_the_queue(host):
    host.execute(host.program())
    host.catalogue.close()
    with pytest.raises(sqlite3.Error):
        host.detector.take(host.catalogue, host.queue)
    assert (host.detector.taken, host.detector.committed) == (0, 0)
    host.catalogue = Catalogue(host.path, create=True)
    host.step(TICK_SECONDS)
    host.step(SETTLE_SECONDS)
    assert host.detector.committed == 1
    assert len(host.found()) == 1


def test_another_catalogue_takes_the_place_of_one_that_is_gone(host):
    host.execute(host.program())
    host.step()
    host.catalogue.close()
    host.path.rename(host.directory / "away.db")
    host.catalogue = Catalogue(host.path, create=True)
    host.step(SETTLE_SECONDS)
    assert host.detector.committed == 1
    assert len(host.rows("SELECT * FROM programs")) == 1
    assert host.rows("SELECT count(*) FROM meta WHERE name = 'seeded'") == [(1,)]


def test_introductions_of_an_older_probe_come_first(host):
    old, new = host.program(b"old"), host.program(b"new")
    bits = {**enum("key_flag"), "KEY_SCRIPT": 2, "KEY_FROM_KERNEL": 1}
    decoder = Decoder(replace(LAYOUTS, vocabulary={**LAYOUTS.vocabulary, "key_flag": bits}))
    host.start(inherited=[(decoder, b"damaged"), (decoder, record_of(old, flags=bits["KEY_FROM_KERNEL"]))])
    host.execute(new)
    assert host.detector.room == 0
    host.step()
    host.step()
    host.step(SETTLE_SECONDS)
    assert [path for (path,) in host.rows("SELECT path FROM keys ORDER BY rowid")] == [str(old), str(new)]
    assert host.detector.committed == 1
    assert not host.detector._inherited


def test_failures_of_one_kind_are_logged_once(host, monkeypatch, caplog):
    caplog.set_level("INFO")

    def broken(*_):
        raise ValueError("broken")

    monkeypatch.setattr(host.reader, "look", broken)
    for _ in range(5):
        host.execute(host.program())
    host.step()
    assert [record.getMessage() for record in caplog.records] == [
        "the files of a key cannot be looked at: ValueError: broken"
    ]
    monkeypatch.undo()
    monkeypatch.setattr(detector_module, "judge", broken)
    for _ in range(3):
        host.step(SETTLE_SECONDS)
        host.execute(host.program())
        host.step()
    assert [record.getMessage() for record in caplog.records[1:]] == [
        "the files of a key cannot be judged: ValueError: broken"
    ]


def test_a_few_findings_are_logged_one_by_one_and_the_number_of_the_others(host, caplog):
    for _ in range(3):
        for _ in range(LOGGED):
            host.execute(host.program())
        host.step()
        assert host.step(SETTLE_SECONDS) == LOGGED
    assert len(caplog.records) == LOGGED
    host.step(LOG_SECONDS)
    assert [record.getMessage() for record in caplog.records[LOGGED:]] == [
        f"{2 * LOGGED} more findings: exec_exporter findings list"
    ]
    caplog.clear()
    for _ in range(LOGGED + 3):
        host.execute(host.program())
    host.step()
    host.detector.judge(host.catalogue, everything=True)
    assert caplog.records[-1].getMessage() == "3 more findings: exec_exporter findings list", "the exporter stops"


def test_no_more_files_wait_than_there_is_room_for(host, monkeypatch):
    monkeypatch.setattr(detector_module, "DELAYED", 2)
    for _ in range(3):
        host.execute(host.program())
    host.used = {key_of(host.program())}
    host.step(RECHECK_SECONDS)
    assert (host.detector.taken, host.detector.room) == (2, 0)
    assert host.detector.patience_seconds == SETTLE_SECONDS
    host.step(SETTLE_SECONDS)
    host.step()
    host.step(SETTLE_SECONDS)
    assert len(host.found()) == 3


def test_no_more_keys_are_to_be_looked_at_again_than_there_is_room_for(host, monkeypatch):
    monkeypatch.setattr(detector_module, "AGAIN", 2)
    monkeypatch.setattr(host.detector, "look_again", lambda _: None)
    programs = [host.program() for _ in range(3)]
    host.used = {key_of(program) for program in programs[:2]}
    host.step(RECHECK_SECONDS)
    assert host.used == set()
    host.used = {key_of(programs[2])}
    host.step(RECHECK_SECONDS)
    assert host.used == {key_of(programs[2])}, "no room"
    monkeypatch.undo()
    host.step()
    host.step(RECHECK_SECONDS)
    assert host.used == set()


def test_a_watched_script_is_looked_at_whenever_it_is_executed(host):
    script = host.program()
    host.execute(script)
    host.step()
    host.step(SETTLE_SECONDS)
    host.run("UPDATE keys SET watched = 1")
    raw = key_of(script)
    host.labels[raw] = Labels(str(script), "", "null")
    script.write_bytes(b"changed")
    changed = key_of(script)
    host.labels[changed] = host.labels[raw]
    host.used = {changed}
    host.step(RECHECK_SECONDS)
    host.step(SETTLE_SECONDS)
    assert sorted(reason for (reason,) in host.rows("SELECT reason FROM findings")) == ["content_changed", "new_path"]


def test_changes_by_another_process_are_adopted(tmp_path):
    host = Host(tmp_path, learning=3600.0)
    host.step()
    host.run(f"INSERT OR REPLACE INTO meta VALUES ('{learning.OVER}', 1000.0)")
    host.step(TICK_SECONDS)
    assert host.detector.snapshot.state == "watching"
    program = host.program()
    host.execute(program)
    host.step()
    host.step(SETTLE_SECONDS)
    assert host.detector.snapshot.open_findings == 1
    host.accept(program)
    host.step(TICK_SECONDS)
    assert host.detector.snapshot.open_findings == 0
    assert host.detector.snapshot.totals == {"new_path": 1}


def test_a_program_that_is_accepted_beforehand_is_never_open(host):
    program = host.program()
    host.accept(program)
    host.step(TICK_SECONDS)
    host.execute(program)
    host.step()
    host.step(SETTLE_SECONDS)
    assert host.found() == {str(program): "new_path"}
    assert (host.detector.snapshot.open_findings, host.detector.snapshot.totals) == (0, {})


def test_the_catalogue_is_bounded(tmp_path):
    host = Host(tmp_path, programs=10)
    for _ in range(15):
        host.execute(host.program())
    host.step()
    host.step(SETTLE_SECONDS)
    assert host.detector.snapshot.programs == 10
    assert host.detector.snapshot.evictions == 10, "5 programs, 5 findings"
    host.step(RECHECK_SECONDS)
    assert host.detector.snapshot.open_findings == 10


class Histories(RuleBasedStateMachine):
    """In any order of events, acknowledged records are in the catalogue, and in the end each program is there once."""

    def __init__(self):
        super().__init__()
        self.directory = TemporaryDirectory()
        self.host = Host(Path(self.directory.name), learning=3.0)
        self.programs, self.broken, self.acknowledged = [], False, 0

    @rule()
    def a_new_program_is_executed(self):
        self.programs.append(self.host.program())
        self.host.execute(self.programs[-1])

    @precondition(lambda self: self.programs)
    @rule(data=st.data())
    def a_program_is_executed_in_another_way(self, data):
        self.host.execute(data.draw(st.sampled_from(self.programs)))

    @rule(seconds=st.sampled_from([0.0, 0.1, 0.5, 1.0, 5.0]))
    def time_passes(self, seconds):
        try:
            self.host.step(seconds)
        except sqlite3.Error:
            assert self.broken

    @rule()
    def the_catalogue_breaks_or_is_mended(self):
        change = self.host.mend_writes if self.broken else self.host.break_writes
        change()
        self.broken = not self.broken

    @rule()
    def the_process_is_killed_and_another_starts(self):
        self.acknowledged = max(self.acknowledged, self.host.detector.committed)
        self.host.queue = [(number, raw) for number, raw in self.host.queue if number > self.acknowledged]
        self.host.catalogue.close()
        self.host.catalogue = Catalogue(self.host.path, create=True)
        self.host.start()

    @invariant()
    def acknowledged_records_are_in_the_catalogue(self):
        keys = {key for (key,) in self.host.rows("SELECT key FROM keys")}
        committed = range(1, self.host.detector.committed + 1)
        assert {self.host.executed[number] for number in committed} <= keys

    def teardown(self):
        self.host.mend_writes()
        for _ in range(4):
            self.host.step(1.0)
        keys = {key for (key,) in self.host.rows("SELECT key FROM keys")}
        assert keys == set(self.host.executed.values())
        (found,), (counted,) = (
            self.host.rows(f"SELECT {what}")[0]
            for what in ("count(*) FROM findings", "coalesce(sum(count), 0) FROM totals")
        )
        assert found == counted
        assert len(self.host.rows("SELECT * FROM programs")) == len(self.programs)
        self.host.catalogue.close()
        self.directory.cleanup()


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=50, stateful_step_count=20, deadline=None)
