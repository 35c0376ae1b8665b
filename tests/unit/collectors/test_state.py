"""Readers that are killed at any moment go on from what was kept last: nothing is lost, nothing falls."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.events.decode import Decoder
from exporter.events.names import Names
from exporter.metrics.checkpoint import Checkpoint
from tests.unit.blobs import Blobs, KilledError
from tests.unit.layouts import LAYOUTS
from tests.unit.maps import SECOND, Maps, processes_of

EXECUTIONS = "exec_executions_total"


class Host:
    """Maps that stay, and readers that come and go. Records are kept until a state that has their names is saved."""

    def __init__(self, limit=1000, idle_seconds=0, capacity=1000):
        self.maps, self._limit, self._idle_seconds = Maps(capacity), limit, idle_seconds
        self.blobs, self.intake = Blobs(), []
        self.start()

    def start(self):
        waiting = self.intake.copy()

        def introductions():
            came = self.maps.introductions()
            self.intake += came
            found = [*waiting, *came]
            waiting.clear()
            return found

        self.names = Names(Decoder(LAYOUTS), introductions)
        self.executions, self.processes = processes_of(
            self.maps, limit=self._limit, idle_seconds=self._idle_seconds, names=self.names
        )
        checkpoint = Checkpoint(self.blobs)
        tables = checkpoint.load()
        if tables:
            self.executions.restore(tables["executions"])
            self.processes.restore(tables["processes"])

        def changes(whole):
            parts = {"executions": self.executions, "processes": self.processes}
            return {name: part.changes(whole=whole) for name, part in parts.items()}

        def save():
            nonlocal released
            assert checkpoint.save(changes)
            del self.intake[: self.executions.accounted - released]
            released = self.executions.accounted

        released = 0
        self.executions.save = save

    def do(self, action, changes=None):
        """Does something; returns what it gave. Killed before that change to what is kept; None: it is not."""
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
        families = [*self.executions.collect(), *self.processes.collect()]
        return {
            (sample.name, *sorted(sample.labels.items())): sample.value
            for family in families
            for sample in family.samples
            if sample.name.endswith(("_total", "_bucket", "_count", "_sum"))
        }

    def evict(self):
        self.processes.evict()


def executed(shown):
    return sum(value for (name, *_), value in shown.items() if name == EXECUTIONS)


def test_the_next_reader_goes_on_where_the_one_before_was_killed():
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


def test_a_state_of_another_map_is_what_was_counted_and_no_more():
    host = Host()
    host.maps.execute(1, 5)
    host.scrape()
    host.maps.ids["execs"] += 10
    host.start()
    assert executed(host.scrape()) == 10


def test_what_is_introduced_after_the_map_was_read_keeps_its_name():
    host, introductions = Host(), Maps.introductions

    def late():
        host.maps.introductions = lambda: introductions(host.maps)
        host.maps.execute(2)
        return introductions(host.maps)

    host.maps.execute(1)
    host.maps.introductions = late
    host.scrape()
    host.start()
    paths = {dict(labels)["path"] for name, *labels in host.scrape() if name == EXECUTIONS}
    assert paths == {"/program-1", "/program-2"}


def test_a_name_outlives_the_reader_whichever_way_it_came():
    host = Host()
    host.scrape()
    for number in (1, 2):
        host.maps.execute(number, introduce=False)
    host.scrape()
    host.maps.introduce(1)  # after the map was read
    host.executions.update()
    host.executions.save()
    host.maps.execute(3)
    host.maps.execute(4)
    host.names.update()
    host.executions.save()  # before the map is read
    host.scrape()
    host.start()
    assert not host.intake
    for number in (1, 2, 3, 4):
        host.maps.execute(number)
    shown = host.scrape()
    by_path = {dict(labels)["path"]: value for (name, *labels), value in shown.items() if name == EXECUTIONS}
    assert by_path == {"unknown": 3, "/program-1": 1, "/program-3": 2, "/program-4": 2}


@pytest.mark.parametrize("change", range(6))
def test_killed_while_keys_are_taken_out_the_next_reader_tells_them_from_those_that_come_back(change):
    host = Host(idle_seconds=1)
    host.maps.execute(1, 5, pid=10)
    host.maps.execute(2, 3, pid=11)
    host.maps.end(10)
    host.scrape()
    host.maps.end(11)
    host.maps.execute(1, 4, pid=10)
    host.maps.end(10)
    host.executions.totals.expire = host.processes.totals.expire = lambda before: None
    host.maps.now += 2 * SECOND
    host.blobs.changes_left = change
    with contextlib.suppress(KilledError):
        host.evict()
    host.blobs.changes_left = None
    host.maps.execute(1, 10, pid=10)
    host.maps.end(10)
    host.maps.execute(2, 2, pid=11)
    host.maps.end(11)
    host.start()
    shown = host.scrape()
    assert executed(shown) == 24
    assert sum(value for (_, *labels), value in shown.items() if ("outcome", "success") in labels) == 5


def test_what_one_reader_has_saved_of_lives_is_not_lost_if_the_next_does_not_come_to_reading_them():
    host = Host()
    host.maps.execute(1, pid=10)
    host.maps.end(10)
    host.scrape()
    host.start()
    list(host.executions.collect())
    host.executions.save()
    host.start()
    shown = host.scrape()
    assert sum(value for (_, *labels), value in shown.items() if ("outcome", "success") in labels) == 1


def test_lives_that_are_gone_are_not_kept_for_ever():
    host = Host()
    host.maps.execute(1, pid=10)
    host.maps.end(10)
    host.scrape()
    host.maps.maps["exits"].clear()
    host.start()
    host.scrape()
    assert host.processes.changes(whole=True)["counted"] == []


def test_what_is_executed_while_its_key_is_taken_out_outlives_the_reader():
    host, take = Host(idle_seconds=1), Maps.take

    def late(name, raw):
        host.maps.take = lambda name, raw: take(host.maps, name, raw)
        host.maps.execute(1, 3)
        return take(host.maps, name, raw)

    host.maps.execute(1, 5)
    host.scrape()
    host.executions.totals.expire = lambda before: None
    host.maps.now += 2 * SECOND
    host.maps.take = late
    host.evict()
    host.start()
    assert executed(host.scrape()) == 8


STEP = st.one_of(
    st.tuples(st.just("execute"), st.integers(0, 6), st.integers(1, 5), st.booleans()),
    st.tuples(st.just("end"), st.integers(0, 6), st.integers(0, 2)),
    st.tuples(st.just("scrape"), st.none() | st.integers(0, 5)),
    st.tuples(st.just("keep house"), st.none() | st.integers(0, 8)),
    st.tuples(st.just("kill")),
    st.tuples(st.just("wait"), st.integers(1, 8)),
)


@settings(max_examples=500, deadline=None)
@given(st.lists(STEP, max_size=40), st.integers(1, 30))
def test_whatever_happens_the_sum_is_exact_and_no_series_falls(steps, limit):
    """A program is at rest a while after it was executed, which no reader is slower than: so is none here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("exporter.metrics.checkpoint.LEAST_PARTS", 2)
        go_through(steps, limit)


def go_through(steps, limit):
    host = Host(limit=limit, idle_seconds=5, capacity=12)
    shown, succeeded = {}, 0
    for name, *arguments in steps:
        if name == "execute":
            program, times, named = arguments
            host.maps.execute(program, times, pid=100 + program, introduce=named)
        elif name == "end":
            program, outcome = arguments
            if (100 + program).to_bytes(4, "little") in host.maps.maps["processes"]:
                host.maps.end(100 + program, outcome=outcome)
                succeeded += outcome == 0
        elif name == "scrape":
            now = host.do(host.scrape, *arguments)
            if now is not None:
                for series, value in now.items():
                    if series[0] != "exec_exporter_series" and series in shown:
                        assert value >= shown[series], series
                shown = now
        elif name == "keep house":
            expired = host.executions.totals.expired, host.processes.totals.expired
            host.do(host.evict, *arguments)
            if expired != (host.executions.totals.expired, host.processes.totals.expired):
                shown = {}  # what is executed again begins anew
        elif name == "kill":
            host.start()
        else:
            host.maps.now += arguments[0] * SECOND
    shown = host.do(host.scrape)
    assert executed(shown) + host.executions.totals.expired == host.maps.runs - host.maps.lost
    exits = sum(value for (_, *labels), value in shown.items() if ("outcome", "success") in labels)
    assert exits + host.processes.totals.expired == succeeded
