from exporter.events.decode import Decoder
from exporter.events.labels import Labels
from exporter.events.names import Catalogue
from tests.unit.layouts import LAYOUTS, key, record


def catalogue_of(*batches):
    waiting = list(batches)
    return Catalogue(Decoder(LAYOUTS), lambda: waiting.pop(0) if waiting else [])


def test_a_key_is_unknown_until_it_is_introduced():
    catalogue = catalogue_of([record(key(), pathname=b"a\0")])
    assert catalogue.labels(key()) == Labels("unknown", "unknown", "unknown")
    catalogue.update()
    assert catalogue.labels(key()) == Labels("/a", "", "unknown")


def test_a_record_that_makes_no_sense_is_counted_and_the_others_are_kept(caplog):
    catalogue = catalogue_of([b"rubbish", record(key(), pathname=b"a\0"), b""])
    catalogue.update()
    assert catalogue.labels(key()).path == "/a"
    assert catalogue.undecodable == 2
    assert len(caplog.records) == 1
