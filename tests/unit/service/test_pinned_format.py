"""The checkpoint of the previous format: maps get new names, and all counts stay. The rest is in tests/kernel."""

from exporter.metrics.checkpoint import Checkpoint
from exporter.service.pinned_format import _convert_checkpoint
from tests.unit.blobs import Blobs

PARTS = {
    "probe": {"state": [(0, {"counters": [1, {}, {"RUNS": 5}]})]},
    "executions": {"map": [("execs", 7)], "rows": [(("/a", "", "null"), ([5], 1.0))]},
    "processes": {"map": [("lives", 8)], "counted": [(1, [2, 3])]},
}


def saved(parts):
    blobs = Blobs()
    assert Checkpoint(blobs).save(lambda _: parts)
    return blobs


def test_maps_get_their_new_names_and_everything_else_stays():
    blobs = saved(PARTS)
    expected = Checkpoint(saved(PARTS)).load()
    expected["processes"]["map"] = {"exits": 8}
    for _ in range(2):  # repeated if the process is killed after it
        _convert_checkpoint(Checkpoint(blobs))
        assert Checkpoint(blobs).load() == expected


def test_an_empty_checkpoint_stays_empty():
    blobs = Blobs()
    _convert_checkpoint(Checkpoint(blobs))
    assert blobs == {}
