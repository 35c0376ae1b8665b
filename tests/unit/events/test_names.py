from exporter.events.decode import Decoder
from exporter.events.labels import Labels
from exporter.events.names import Names
from tests.unit.layouts import LAYOUTS, key, record


def catalogue_of(*batches):
    waiting = list(batches)
    return Names(Decoder(LAYOUTS), lambda: waiting.pop(0) if waiting else [])


def test_a_key_is_unknown_until_it_is_introduced():
    names = catalogue_of([record(key(), pathname=b"a\0")])
    assert names.labels(key()) == Labels("unknown", "unknown", "unknown")
    names.update()
    assert names.labels(key()) == Labels("/a", "", "unknown")


def test_a_record_that_makes_no_sense_is_counted_and_the_others_are_kept(caplog):
    names = catalogue_of([b"rubbish", record(key(), pathname=b"a\0"), b""])
    names.update()
    assert names.labels(key()).path == "/a"
    assert names.undecodable == 2
    assert len(caplog.records) == 1
