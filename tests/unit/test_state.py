"""Readers that are killed at any moment go on from the state that was kept last: nothing is lost, nothing falls."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.catalogue import Catalogue
from exporter.decode import Decoder
from tests.unit.layouts import LAYOUTS
from tests.unit.maps import SECOND, Maps, processes_of


class KilledError(Exception):
    pass


class Host:
    """Maps that stay, and readers that come and go. Records are kept until a state that has their names is saved."""

    def __init__(self, limit=1000, idle_seconds=0, capacity=1000):
        self.maps, self._limit, self._idle_seconds = Maps(capacity), limit, idle_seconds
        self.ledger, self.intake, self.saves_left = None, [], None
        self.start()

    def start(self):
        waiting, taken = self.intake.copy(), []

        def introductions():
            came = self.maps.introductions()
            self.intake += came
            taken.extend([*waiting, *came])
            found = [*waiting, *came]
            waiting.clear()
            return found

        catalogue = Catalogue(Decoder(LAYOUTS), introductions)
        self.executions, self.processes = processes_of(
            self.maps, limit=self._limit, idle_seconds=self._idle_seconds, catalogue=catalogue
        )
        if self.ledger:
            state = json.loads(self.ledger)
            self.executions.restore(state["executions"])
            self.processes.restore(state["processes"])

        def save():
            if self.saves_left == 0:
                raise KilledError
            if self.saves_left:
                self.saves_left -= 1
            self.ledger = json.dumps({"executions": self.executions.state(), "processes": self.processes.state()})
            del self.intake[: len(taken)]
            taken.clear()

        self.executions.save = save

    def do(self, action, saves=None):
        """Does something; returns what it gave. Killed when it saves for the how manieth time; None: it is not."""
        self.saves_left = saves
        try:
            return action()
        except KilledError:
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

    def keep_house(self):
        self.executions.keep_house()
        self.processes.keep_house()


def executed(shown):
    return sum(value for (name, *_), value in shown.items() if name == "exec_executions_total")


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
    state = json.loads(host.ledger)
    state["executions"]["map"] += 1
    host.ledger = json.dumps(state)
    host.start()
    assert executed(host.scrape()) == 10


STEP = st.one_of(
    st.tuples(st.just("execute"), st.integers(0, 6), st.integers(1, 5), st.booleans()),
    st.tuples(st.just("end"), st.integers(0, 6), st.integers(0, 2)),
    st.tuples(st.just("scrape"), st.none() | st.integers(0, 2)),
    st.tuples(st.just("keep house"), st.none() | st.integers(0, 3)),
    st.tuples(st.just("kill")),
    st.tuples(st.just("wait"), st.integers(1, 8)),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(STEP, max_size=40), st.integers(1, 30))
def test_whatever_happens_the_sum_is_exact_and_no_series_falls(steps, limit):
    """A program is at rest a second after it was executed, which no reader is slower than: so is none here."""
    host = Host(limit=limit, idle_seconds=5, capacity=12)
    shown = {}
    for name, *arguments in steps:
        if name == "execute":
            program, times, named = arguments
            host.maps.execute(program, times, pid=100 + program, introduce=named)
        elif name == "end":
            program, outcome = arguments
            if (100 + program).to_bytes(4, "little") in host.maps.maps["processes"]:
                host.maps.end(100 + program, outcome=outcome)
        elif name == "scrape":
            now = host.do(host.scrape, *arguments)
            if now is not None:
                for series, value in now.items():
                    if series[0] != "exec_exporter_series" and series in shown:
                        assert value >= shown[series], series
                shown = now
        elif name == "keep house":
            expired = host.executions.totals.expired, host.processes.totals.expired
            host.do(host.keep_house, *arguments)
            if expired != (host.executions.totals.expired, host.processes.totals.expired):
                shown = {}  # what is executed again begins anew
        elif name == "kill":
            host.start()
        else:
            host.maps.now += arguments[0] * SECOND
    shown = host.do(host.scrape)
    assert executed(shown) + host.executions.totals.expired == host.maps.runs - host.maps.lost
