"""Totals of earlier generations are added once, for any maps of the saved state."""

import json
import struct
from collections import Counter
from types import SimpleNamespace

from exporter.probe.carried_totals import CarriedTotals

IDS = {"counters": 1, "failures": 2, "histograms": 3}
HISTOGRAMS = SimpleNamespace(value_size=16, max_entries=2)


def histogram(*numbers):
    return struct.pack("=2Q", *numbers)


def carried(ids=IDS, bounds=(1, 2)):
    maps = {"histograms": SimpleNamespace(value="struct histograms")}
    vocabulary = {
        "format": {"ELF": 0},
        "arguments_bounds": {str(number): bound for number, bound in enumerate(bounds)},
        "counter": {},
    }
    return CarriedTotals(SimpleNamespace(maps=maps, vocabulary=vocabulary), ids, HISTOGRAMS)


def saved(totals, counter=5, failures=3, histograms=None):
    """Return a state as the checkpoint loads it."""
    numbers = {"counters": Counter(RUNS=counter), "failures": Counter({"2": failures})}
    cpus = histograms or [[histogram(1, 2), histogram(10, 20)], [histogram(0, 1)] * 2]
    return json.loads(json.dumps(totals.state(numbers, cpus)))


def test_the_state_of_the_same_maps_adds_nothing():
    totals = carried()
    totals.restore(saved(totals))
    assert totals.numbers == {"counters": Counter(), "failures": Counter()}
    assert totals.histograms == [histogram(0, 0)] * 2


def test_counts_of_other_maps_are_carried_over_generations():
    state = saved(carried())
    for generation in (2, 3):
        totals = carried({name: 10 * generation + number for name, number in IDS.items()})
        totals.restore(state)
        assert totals.numbers["counters"] == Counter(RUNS=5 * (generation - 1))
        assert totals.numbers["failures"] == Counter({"2": 3 * (generation - 1)})
        assert totals.histograms[0] == histogram(11 * (generation - 1), 22 * (generation - 1))
        state = saved(totals)


def test_sums_that_wrap_around_in_the_kernel_wrap_around_here():
    state = saved(carried(), histograms=[[histogram(2**64 - 1, 0), histogram(2, 0)]] * 2)
    totals = carried({**IDS, "histograms": 4})
    totals.restore(state)
    assert totals.histograms == [histogram(1, 0)] * 2


def test_histograms_with_other_buckets_restart_and_all_else_is_carried(caplog):
    totals = carried({name: number + 10 for name, number in IDS.items()}, bounds=(1, 3))
    totals.restore(saved(carried()))
    assert totals.histograms == [histogram(0, 0)] * 2
    assert totals.numbers["counters"] == Counter(RUNS=5)
    assert "restart from 0" in caplog.text
