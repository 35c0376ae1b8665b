"""What was pinned in older formats: nothing in it is lost. What needs a kernel is in tests/kernel.

recorded/format-<n>.json has what the exporter of a format has pinned: the description, without the instructions, and
the checkpoint and the queue as bytes.
"""

import base64
import json
import zlib
from pathlib import Path

import pytest

from exporter.compiler.ctypes_layout import layout
from exporter.compiler.description import compiled_from
from exporter.errors import USAGE, ExporterError
from exporter.events.decode import Decoder
from exporter.events.labels import Labels, labels_of
from exporter.metrics import definitions
from exporter.metrics.checkpoint import FORMAT, Checkpoint
from exporter.probe.features import FEATURES
from exporter.probe.program import layouts_of
from exporter.service.pinned_format import _convert_checkpoint
from tests.unit.blobs import Blobs
from tests.unit.maps import Maps, family, pipeline_of

RECORDED = Path(__file__).parent / "recorded"

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


def recorded(number):
    return json.loads((RECORDED / f"format-{number}.json").read_text("utf-8"))


def blobs_of(saved):
    blobs = Blobs()
    blobs.update({int(number): base64.b64decode(data) for number, data in saved.items()})
    return blobs


def test_a_recorded_checkpoint_is_continued():
    pipeline = pipeline_of(Maps(), checkpoint=Checkpoint(blobs_of(recorded(2)["checkpoint"])))
    assert family(pipeline, definitions.EXECUTIONS) == {
        Labels("/opt/a", "", "unknown"): 7,
        Labels("/b\\\\ÿ", "", "unknown"): 7,
        Labels("/late", "", "unknown"): 1,
    }
    exits = family(pipeline, definitions.EXITS)
    assert {labels: count for labels, count in exits.items() if count} == {
        ("/opt/a", "success"): 1,
        ("/b\\\\ÿ", "signal"): 1,
    }
    lifetimes = family(pipeline, definitions.LIFETIME)
    assert {path: row[-1] for (path,), row in lifetimes.items()} == {"/opt/a": 2.0, "/b\\\\ÿ": 1e-06}


def test_a_recorded_queue_is_decoded_by_its_description():
    saved = recorded(2)
    decoder = Decoder(layouts_of(compiled_from(saved["description"], FEATURES)))
    found = [decoder.introduction(base64.b64decode(record)) for record in saved["queue"].values()]
    assert [labels_of(decoder.key(each.key), each).path for each in found] == ["/usr/bin/tool", r"/opt/run\xff"]
    assert [(each.pid, each.uid, each.comm) for each in found] == [(42, 7, b"tool")] * 2
    assert [decoder.identities(each.key)[0].inode for each in found] == [101, 102]


def test_the_recorded_description_is_whole():
    described = recorded(2)["description"]
    compiled = compiled_from(described, FEATURES)
    assert layout(compiled.maps["execs"].key)
    assert compiled.programs.keys() >= {"on_exec", "on_exit", "on_fork"}
    assert described["format"] == 2


def test_a_checkpoint_of_a_newer_format_is_refused_and_stays():
    blobs = saved(PARTS)
    newer = json.dumps({"format": FORMAT + 1, "anything": "else"}).encode()
    blobs[max(blobs) + 1] = zlib.compress(newer)
    before = dict(blobs)
    with pytest.raises(ExporterError, match=f"is of format {FORMAT + 1}, of a newer exec_exporter") as error:
        Checkpoint(blobs).load()
    assert error.value.status == USAGE
    assert blobs == before
