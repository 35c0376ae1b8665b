"""Exporters that are killed at any moment continue from the checkpoint: no count is lost or decreases."""

import contextlib
import ctypes
import threading

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from exporter.metrics import definitions
from exporter.metrics.checkpoint import Checkpoint
from exporter.probe.record_queue import CHECKPOINT, NOVELTY, RecordQueue
from tests.repetition import repetitions
from tests.unit.blobs import Blobs, KilledError
from tests.unit.layouts import key
from tests.unit.maps import SECOND, ExitStats, Maps, family, pipeline_of
from tests.waiting import until

ALL = 1 << 60  # an acknowledgement ends at the last record

EXECUTIONS, EXITS = "exec_executions_total", "exec_exits_total"
READERS = CHECKPOINT, NOVELTY


class Host:
    """Maps that outlive the exporters that read them."""

    def __init__(self, limit=1000, idle_seconds=0, capacity=1000):
        self.maps, self._options = Maps(capacity), {"limit": limit, "idle_seconds": idle_seconds}
        self.blobs, self.records = Blobs(), Blobs()  # of the checkpoint, and of the queue
        self.start()

    def start(self):
        """Start the next exporter. Novelty acknowledges every record at once."""
        self.queue = RecordQueue(self.records, READERS)
        self.pipeline = pipeline_of(self.maps, queue=self.queue, checkpoint=Checkpoint(self.blobs), **self._options)

    def do(self, action, changes=None):
        """Return what an action returns; None if it is killed before that many changes to the checkpoint."""
        self.blobs.changes_left = changes
        try:
            return action()
        except KilledError:
            pass
        finally:
            self.blobs.changes_left = None
        self.start()
        return None

    def scrape(self):
        families = [family for collect in self.pipeline.collectors.values() for family in collect()]
        return {
            (sample.name, *sorted(sample.labels.items())): sample.value
            for family in families
            if family.type in ("counter", "histogram")
            for sample in family.samples
        }

    def created(self):
        """Return the Unix time at which each series was 0, by metric and labels."""
        families = [family for collect in self.pipeline.collectors.values() for family in collect()]
        return {
            (family.metric.name, labels): time
            for family in families
            if family.type in ("counter", "histogram")
            for labels, time in family.created.items()
        }

    def evict(self):
        self.pipeline.evict()
        self.queue.acknowledge("novelty", ALL)
        self.pipeline.acknowledge()

    def paths(self):
        return {labels.path: value for labels, value in family(self.pipeline, definitions.EXECUTIONS).items()}


def executed(shown):
    return sum(value for (name, *_), value in shown.items() if name == EXECUTIONS)


def succeeded(shown):
    return sum(value for (_, *labels), value in shown.items() if ("outcome", "success") in labels)


def test_the_next_exporter_continues_where_the_one_before_was_killed():
    host = Host()
    host.maps.execute(1, 5, pid=10)
    host.maps.end(10)
    before = host.scrape()
    host.maps.execute(1, 2)
    host.maps.execute(2, 3)
    host.start()
    after = host.scrape()
    assert executed(before) == 5
    assert executed(after) == 10
    assert all(after[series] >= value for series, value in before.items())


def test_a_state_and_a_map_of_a_version_with_fewer_outcomes_keep_their_counts():
    """Versions before had no crashes: neither in the rows of the checkpoint nor in the map of exits."""

    class OlderExitStats(ctypes.Structure):
        _fields_ = [(name, ctypes.c_uint64 * 3 if name == "exits" else kind) for name, kind in ExitStats._fields_]

    host = Host()
    for pid in range(7):
        host.maps.execute(1, pid=pid)
        host.maps.end(pid, outcome=pid % 3)
    host.scrape()
    checkpoint = Checkpoint(host.blobs)
    tables = checkpoint.load()
    rows = tables["processes"]["rows"]
    for path, (row, changed) in rows.items():
        assert row[3] == 0
        rows[path] = [row[:3] + row[4:], changed]
    counted = tables["processes"]["counted"]
    for program, numbers in counted.items():
        counted[program] = numbers[:4] + numbers[5:]
    assert checkpoint.save(lambda _: {part: {n: [*t.items()] for n, t in ts.items()} for part, ts in tables.items()})
    for program, stats in host.maps.maps["exits"].items():
        older = {name: getattr(stats, name) for name in ("began", "lifetime_us", "lifetimes")}
        host.maps.maps["exits"][program] = OlderExitStats(**older, exits=(ctypes.c_uint64 * 3)(*stats.exits[:3]))
    host.maps.structs["exits"] = OlderExitStats
    host.maps.execute(1, pid=8)
    host.maps.end(8, outcome=2)
    host.start()
    exits = {dict(labels)["outcome"]: value for (name, *labels), value in host.scrape().items() if name == EXITS}
    assert exits == {"success": 3, "failure": 2, "signal": 3, "crash": 0}


def test_long_names_are_one_series_each_before_and_after_a_restart():
    host = Host()
    deep = r"y" * 250
    for number, middle in enumerate(("a", "b"), 1):
        host.maps.execute(number, number, path=f"end\0{'x' * 250}{middle}\0{deep}", pid=number)
    before = host.scrape()
    host.start()
    host.maps.execute(1, 10)
    after = host.scrape()
    assert sorted(value for (name, *_), value in before.items() if name == EXECUTIONS) == [1, 2]
    assert sorted(value for (name, *_), value in after.items() if name == EXECUTIONS) == [2, 11]
    assert after.keys() == before.keys()
    assert max(len(value) for _, *labels in after for _, value in labels) == 256


def test_the_state_of_another_map_is_its_totals_and_no_more():
    host = Host()
    host.maps.execute(1, 5)
    host.scrape()
    host.maps.ids["execs"] += 10
    host.start()
    assert executed(host.scrape()) == 10


def test_a_key_introduced_after_the_map_was_read_keeps_its_name():
    host = Host()

    def late(take):
        del host.maps.receive
        host.maps.execute(2)
        host.maps.receive(take)

    host.maps.execute(1)
    host.maps.receive = late
    host.scrape()
    host.start()
    assert host.paths().keys() == {"/program-1", "/program-2"}


def test_a_name_outlives_the_exporter_whichever_way_it_came():
    host = Host()
    host.scrape()
    for number in (1, 2):
        host.maps.execute(number, introduce=False)
    host.scrape()
    host.maps.introduce(1)  # after the map is read
    host.pipeline.flush()
    host.maps.execute(3)
    host.maps.execute(4)
    host.pipeline.drain()  # before the map is read
    host.scrape()
    host.evict()
    assert not host.records
    host.start()
    for number in (1, 2, 3, 4):
        host.maps.execute(number)
    assert host.paths() == {"unknown": 3, "/program-1": 1, "/program-3": 2, "/program-4": 2}


def test_a_record_stays_until_its_name_is_saved_and_novelty_is_done_with_it():
    host = Host()
    host.maps.execute(1)
    host.pipeline.drain()
    host.queue.acknowledge("novelty", 1)
    host.pipeline.acknowledge()
    assert host.records.numbers() == [1], "its key may come to the map after it was read"
    host.scrape()
    host.pipeline.acknowledge()
    assert host.records.numbers() == []
    host.maps.execute(2)
    host.pipeline.drain()
    host.pipeline.flush()
    host.pipeline.acknowledge()
    assert host.records.numbers() == [2]
    host.queue.acknowledge("novelty", 2)
    assert host.records.numbers() == []


def test_who_takes_over_gets_the_names_of_its_keys_from_the_queue_of_the_one_before():
    older = Host()
    older.maps.execute(1)
    older.scrape()
    newer = Host()
    newer.maps.ids["execs"] += 10
    newer.maps.execute(2)
    newer.maps.records, older.maps.records = [], newer.maps.records  # both fill the same ring buffer
    older.pipeline.flush()
    older.queue.acknowledge("novelty", ALL)
    newer.blobs, newer.records = older.blobs, older.records
    newer.start()
    assert newer.paths() == {"/program-1": 1, "/program-2": 1}


def test_a_checkpoint_that_cannot_be_written_keeps_the_records():
    host = Host()
    host.maps.execute(1)
    host.blobs.full = True
    host.pipeline.drain()
    host.pipeline.flush()
    host.pipeline.acknowledge()
    host.queue.acknowledge("novelty", 1)
    assert host.records.numbers() == [1]
    host.start()
    assert host.paths() == {"/program-1": 1}


def test_the_name_of_a_record_that_the_queue_refuses_is_saved_before_it_is_shown():
    host = Host()
    host.maps.execute(1, 5, path="same")
    host.scrape()
    host.records.full = True
    host.maps.execute(2, 3, path="same")
    assert host.paths() == {"/same": 8}
    host.start()
    assert host.paths() == {"/same": 8}


def test_the_name_of_a_refused_record_whose_key_was_read_later_is_saved_too():
    host = Host()
    host.maps.execute(1, 5, path="same")
    host.scrape()
    host.records.full = True
    late, host.maps.records = Maps(), []
    late.execute(2, path="same")
    host.maps.records = late.records  # its key is not in the map as it is read
    host.scrape()
    host.maps.execute(2, 3, introduce=False)
    host.maps.maps["execs"][key(file=2)].introduced = 1
    assert host.paths() == {"/same": 8}
    host.start()
    assert host.paths() == {"/same": 8}


def test_a_save_that_fails_is_tried_again_by_the_next_eviction():
    host = Host()
    host.maps.execute(1, 5)
    host.blobs.full = True
    host.scrape()
    host.records.clear()  # nobody else has the name
    host.blobs.full = False
    host.pipeline.evict()
    host.start()
    assert host.paths() == {"/program-1": 5}


def test_no_record_that_was_inherited_stays_in_memory():
    host = Host()
    for number in range(1, 50):
        host.maps.execute(number)
    host.pipeline.drain()
    reads, get = [], host.records.get
    host.records.get = lambda number: reads.append(number) or get(number)
    host.start()
    assert reads == list(range(1, 50))
    assert not host.pipeline._unnamed
    assert host.pipeline._names.introduced == 49
    assert host.paths().keys() == {f"/program-{number}" for number in range(1, 50)}


def test_records_stay_in_the_ring_buffer_while_too_many_wait_to_be_named(monkeypatch):
    monkeypatch.setattr("exporter.collectors.pipeline.BACKLOG_BYTES", 100)
    host = Host()
    with host.pipeline._lock:  # a scrape holds it
        host.maps.execute(1)
        draining = threading.Thread(target=host.pipeline.drain)
        draining.start()
        until(lambda: not host.maps.records)
        host.maps.execute(2)
        host.pipeline._empty_ring()
        assert len(host.maps.records) == 1
        assert draining.is_alive(), "it waits, rather than to find the ring buffer full again and again"
    draining.join()
    assert host.paths() == {"/program-1": 1, "/program-2": 1}


@pytest.mark.parametrize("change", range(6))
def test_killed_while_keys_are_removed_the_next_exporter_distinguishes_them_from_those_that_come_back(change):
    host = Host(idle_seconds=1)
    host.maps.execute(1, 5, pid=10)
    host.maps.execute(2, 3, pid=11)
    host.maps.end(10)
    host.scrape()
    host.maps.end(11)
    host.maps.execute(1, 4, pid=10)
    host.maps.end(10)
    host.maps.now += 2 * SECOND
    host.blobs.changes_left = change
    with contextlib.suppress(KilledError):
        host.pipeline.evict()
    host.blobs.changes_left = None
    host.maps.execute(1, 10, pid=10)
    host.maps.end(10)
    host.maps.execute(2, 2, pid=11)
    host.maps.end(11)
    host.start()
    shown = host.scrape()
    assert executed(shown) + family(host.pipeline, definitions.EXPIRED)[()] == 24
    assert succeeded(shown) + exits_expired(host) == 5


@pytest.mark.parametrize("named", ["before the exit is read", "after the exporter was killed"])
def test_exits_of_a_program_that_gets_its_name_late_keep_their_series(named):
    host = Host()
    host.maps.execute(2, pid=11, introduce=False)
    host.maps.end(11)  # the series of unknown programs exists
    host.maps.execute(1, pid=10)
    late, host.maps.records = host.maps.records, []
    host.scrape()
    host.maps.end(10)
    if named == "before the exit is read":
        host.maps.records = late
    before = host.scrape()
    host.start()
    host.maps.records = late
    after = host.scrape()
    path = "unknown" if named == "after the exporter was killed" else "/program-1"
    assert before["exec_exits_total", ("outcome", "success"), ("path", path)] == (2 if path == "unknown" else 1)
    assert succeeded(before) == succeeded(after) == 2
    assert {name: after.get(name) for name in before if name[0] == "exec_exits_total"} == {
        name: number for name, number in before.items() if name[0] == "exec_exits_total"
    }


def exits_expired(host):
    """Return exits of expired series, which no metric shows."""
    return host.pipeline._processes.totals.expired


def test_saved_exits_survive_an_exporter_that_never_reads_them():
    host = Host()
    host.maps.execute(1, pid=10)
    host.maps.end(10)
    host.scrape()
    host.start()
    host.pipeline.collectors["executions"]()
    host.maps.execute(2)  # a new series, which is saved
    host.pipeline.collectors["executions"]()
    host.start()
    assert succeeded(host.scrape()) == 1


def test_exit_statistics_that_are_gone_are_not_saved_for_ever():
    host = Host()
    host.maps.execute(1, pid=10)
    host.maps.end(10)
    host.scrape()
    host.maps.maps["exits"].clear()
    host.start()
    host.scrape()
    host.pipeline.flush()
    assert Checkpoint(host.blobs).load()["processes"]["counted"] == {}


def test_an_execution_during_the_eviction_of_its_key_outlives_the_exporter():
    host, take = Host(idle_seconds=1), Maps.take

    def late(name, raw):
        host.maps.take = lambda name, raw: take(host.maps, name, raw)
        host.maps.execute(1, 3)
        return take(host.maps, name, raw)

    host.maps.execute(1, 5)
    host.scrape()
    host.maps.now += 2 * SECOND
    host.maps.take = late
    host.evict()
    host.start()
    assert executed(host.scrape()) + family(host.pipeline, definitions.EXPIRED)[()] == 8


def test_saved_tables_of_a_disabled_collector_return_once_it_is_enabled():
    host = Host()
    host.maps.execute(1, pid=10)
    host.maps.end(10)
    host.scrape()
    host.maps.disabled = {"processes"}
    host.start()
    host.maps.execute(1)
    assert executed(host.scrape()) == 2
    host.pipeline.flush()
    host.maps.disabled = set()
    host.start()
    assert succeeded(host.scrape()) == 1


def test_a_series_was_0_at_the_first_execution_of_its_first_key_or_exit():
    host = Host()
    host.maps.now = 3 * SECOND
    host.maps.execute(1, 5, path="a", pid=10)
    host.maps.now = 7 * SECOND
    host.maps.execute(2, 5, path="a", pid=11)
    host.maps.maps["execs"] = dict(reversed(host.maps.maps["execs"].items()))
    host.maps.now = 9 * SECOND
    host.maps.end(10)
    host.maps.now = 20 * SECOND
    created = host.created()
    assert created["exec_executions_total", ("/a", "", "unknown")] == 1003
    assert created["exec_exits_total", ("/a", "success")] == created["exec_lifetime_seconds", ("/a",)] == 1009
    host.maps.execute(3, path="a")
    host.maps.execute(4, path="b")
    host.maps.now = 40 * SECOND
    host.start()
    assert host.created() == {**created, ("exec_executions_total", ("/b", "", "unknown")): 1020}


def test_a_key_that_gets_its_name_late_begins_a_series_after_the_last_reading():
    host = Host()
    host.maps.execute(1, introduce=False)
    host.maps.now = 5 * SECOND
    host.scrape()
    host.maps.now = 8 * SECOND
    host.maps.introduce(1)
    host.maps.execute(1)
    host.maps.now = 9 * SECOND
    assert host.created()["exec_executions_total", ("/program-1", "", "unknown")] == 1005


def test_counters_without_a_path_were_0_when_counting_started_and_keep_that_time():
    host = Host()
    started = {time for (name, _), time in host.created().items() if name in ("exec_forks_total", "exec_arguments")}
    assert started == {1000}
    host.pipeline.flush()
    host.maps.now = 50 * SECOND
    host.start()
    assert {time for (name, _), time in host.created().items() if name == "exec_forks_total"} == {1000}


def test_a_checkpoint_of_a_build_without_these_times_is_continued():
    host = Host()
    host.maps.execute(1, 5, pid=10)
    host.maps.end(10)
    host.scrape()
    host.pipeline.flush()
    saved = Checkpoint(host.blobs).load()
    for part, table in (("executions", "created"), ("processes", "created"), ("probe", "began")):
        del saved[part][table]
    parts = {part: {name: [*rows.items()] for name, rows in tables.items()} for part, tables in saved.items()}
    host.blobs = Blobs()
    Checkpoint(host.blobs).save(lambda _: parts)
    host.start()
    host.maps.execute(1, 2)
    assert executed(host.scrape()) == 7
    assert host.created() == {}
    host.maps.execute(2)
    assert [*host.created()] == [("exec_executions_total", ("/program-2", "", "unknown"))]


class Histories(RuleBasedStateMachine):
    """In any order of events, the sum is exact and no series decreases.

    A program rests for a while after an execution, longer than an exporter takes.
    """

    @initialize(limit=st.integers(1, 30), capacity=st.integers(1, 12))
    def a_host_is_booted(self, limit, capacity):
        self.limit, self.shown, self.succeeded, self.late, self.created = limit, {}, 0, [], {}
        self.host = Host(limit=limit, idle_seconds=5, capacity=capacity)

    @rule(program=st.integers(0, 6), times=st.integers(1, 5), named=st.booleans())
    def a_program_is_executed(self, program, times, named):
        self.host.maps.execute(program, times, pid=100 + program, introduce=named)

    @rule(program=st.integers(0, 6), outcome=st.integers(0, 2))
    def a_process_ends(self, program, outcome):
        if (100 + program).to_bytes(4, "little") in self.host.maps.maps["processes"]:
            self.host.maps.end(100 + program, outcome=outcome)
            self.succeeded += outcome == 0

    @rule()
    def introductions_are_late(self):
        self.late, self.host.maps.records = self.host.maps.records, self.late

    @rule()
    def records_leave_the_ring_buffer(self):
        self.host.pipeline.drain()

    @rule(changes=st.none() | st.integers(0, 5))
    def the_exporter_is_scraped(self, changes):
        shown = self.host.do(self.host.scrape, changes)
        if shown is None:
            return
        for series, value in shown.items():
            assert value >= self.shown.get(series, 0), series
        self.shown = shown
        self.is_exact()
        created = self.host.created()
        assert {series: created[series] for series in self.created} == self.created
        assert max(created.values()) <= 1000 + self.host.maps.now / SECOND
        self.created = created

    @rule(changes=st.none() | st.integers(0, 8))
    def idle_keys_are_evicted(self, changes):
        before = self.rows()
        self.host.do(self.host.evict, changes)
        if not before <= self.rows():
            self.shown, self.created = {}, {}  # programs that are executed again get new series

    @rule()
    def the_exporter_is_killed(self):
        self.host.start()

    @rule(seconds=st.integers(1, 8))
    def time_passes(self, seconds):
        self.host.maps.now += seconds * SECOND

    @precondition(lambda self: self.shown)
    @rule()
    def the_limit_holds(self):
        assert family(self.host.pipeline, definitions.SERIES)[()] <= self.limit

    def rows(self):
        """Return the label sets that have series."""
        pipeline = self.host.pipeline
        return {*pipeline._executions.totals.rows, *pipeline._processes.totals.rows}

    def is_exact(self):
        maps = self.host.maps
        executions, exits = self.host.pipeline._executions.totals.expired, exits_expired(self.host)
        assert executed(self.shown) + executions == maps.runs - maps.lost
        assert succeeded(self.shown) + exits == self.succeeded

    def teardown(self):
        if hasattr(self, "host"):
            self.the_exporter_is_scraped(None)


@pytest.fixture(autouse=True)
def _small_checkpoints(monkeypatch):
    monkeypatch.setattr("exporter.metrics.checkpoint.LEAST_PARTS", 2)


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=repetitions(200, exhaustive=2000), stateful_step_count=40, deadline=None)
