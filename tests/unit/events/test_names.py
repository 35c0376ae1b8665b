import json

from exporter.events import names as names_module
from exporter.events.decode import Decoder
from exporter.events.labels import Labels
from exporter.events.names import Names
from tests.unit.layouts import LAYOUTS, key, record


def test_a_key_is_unknown_until_it_is_introduced():
    names = Names(Decoder(LAYOUTS))
    assert names.labels(key()) == Labels("unknown", "unknown", "unknown")
    assert names.named(key()) is None
    assert names.add(record(key(), pathname=b"a\0")) == key()
    assert names.labels(key()) == names.named(key()) == Labels("/a", "", "unknown")


def test_a_record_that_cannot_be_decoded_is_counted_and_logged_once(caplog):
    names = Names(Decoder(LAYOUTS))
    records = b"rubbish", record(key(), pathname=b"a\0"), b""
    assert [names.add(each) for each in records] == [None, key(), None]
    assert names.labels(key()).path == "/a"
    assert (names.introduced, names.undecodable) == (1, 2)
    assert len(caplog.records) == 1


def test_an_introduction_takes_precedence_over_preloaded_labels():
    names = Names(Decoder(LAYOUTS))
    names.add(record(key(), pathname=b"a\0"))
    names.preload({key(): Labels("/old", "", "null"), key(file=2): Labels("/b", "", "null")})
    assert (names.labels(key()).path, names.labels(key(file=2)).path) == ("/a", "/b")
    assert names.renamed() == {key(), key(file=2)}
    assert names.renamed() == set()


def test_a_forgotten_key_is_unknown_again():
    names = Names(Decoder(LAYOUTS))
    names.add(record(key(), pathname=b"a\0"))
    names.forget(key())
    assert names.labels(key()).path == "unknown"


def test_used_keys_are_given_out_once_and_only_if_somebody_asks_for_them():
    for track_used in (True, False):
        names = Names(Decoder(LAYOUTS), track_used=track_used)
        names.mark_used(key())
        assert names.take_used() == ({key()} if track_used else set())
        assert names.take_used() == set()


def test_no_more_used_keys_are_kept_than_there_is_room_for(monkeypatch):
    monkeypatch.setattr(names_module, "USED", 2)
    names = Names(Decoder(LAYOUTS), track_used=True)
    for number in (1, 2, 3):
        names.mark_used(key(file=number))
    assert names.take_used() == {key(file=1), key(file=2)}
    names.mark_used(key(file=3))
    assert names.take_used() == {key(file=3)}


def test_a_key_that_is_looked_up_before_it_has_a_name_takes_no_memory():
    names = Names(Decoder(LAYOUTS))
    before = [len(each) for each in vars(names).values() if hasattr(each, "__len__")]
    names.labels(key())
    assert [len(each) for each in vars(names).values() if hasattr(each, "__len__")] == before


LONG = b"x" * 255 + b"\0" + b"y" * 255 + b"\0"
SHORT = "/" + "y" * 115 + r"\x00"


def test_a_long_name_is_shortened_after_the_rules_have_seen_the_whole_of_it():
    seen = []
    names = Names(Decoder(LAYOUTS), lambda labels: seen.append(labels) or labels._replace(path="/rewritten"))
    names.add(record(key(), pathname=LONG))
    assert seen == [Labels("/" + "y" * 255 + "/" + "x" * 255, "", "unknown")]
    assert names.shown(key()).path == "/rewritten"
    assert names.labels(key()).path.startswith(SHORT)
    assert len(names.labels(key()).path) == 256


def test_the_next_process_shows_the_same_for_a_long_name():
    names = Names(Decoder(LAYOUTS), lambda labels: labels._replace(path=labels.path[-300:]).shortened(100), 100)
    names.add(record(key(), pathname=LONG))
    after = Names(Decoder(LAYOUTS), lambda labels: labels._replace(path="/never"), 100)
    after.restore({key(): json.loads(json.dumps(names.saved(key())))})
    assert after.labels(key()) == names.labels(key())
    assert after.shown(key()) == names.shown(key())
    assert len(after.shown(key()).path) == 100


def test_a_shortened_name_of_the_catalogue_is_not_shown_for_the_whole():
    names = Names(Decoder(LAYOUTS))
    names.preload({key(): Labels("/" + "y" * 300, "", "null").shortened()})
    assert names.named(key()) is None
