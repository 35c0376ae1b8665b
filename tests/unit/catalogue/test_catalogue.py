"""The catalogue's file: what it remembers, what it forgets first, and what becomes of it when it is damaged."""

import sqlite3
import stat
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.catalogue import learning
from exporter.catalogue.acceptance import Acceptance
from exporter.catalogue.catalogue import FOUND, LEARNT, Catalogue, Known
from exporter.catalogue.finding import Finding, Reason, content_key, finding_id
from exporter.catalogue.learning import Learning
from exporter.catalogue.recovery import RecoveringCatalogue
from exporter.catalogue.sqlite_file import Damaged, Unusable, set_aside
from exporter.events.decode import Identity
from exporter.events.labels import Labels
from exporter.host.packages import PackageVerdict

A, B = b"a" * 32, b"b" * 32
FILE = Identity(inode=10, dev=(8, 1), generation=3, ctime=1000, path_hash=7)


@pytest.fixture
def store(tmp_path):
    store = Catalogue(tmp_path / "catalogue.db", create=True)
    yield store
    store.close()


def finding(number, first_seen=0.0, package=None):
    return Finding(Reason.NEW_PATH, f"/tmp/{number}", "", A, first_seen, first_seen, package=package)


def test_what_is_known_of_a_program(store):
    with store.transaction():
        store.remember("/a", A, LEARNT, 1.0, FILE)
    other = FILE._replace(inode=11)
    everything = Known(program=True, met=True, path=True, content=True, same_file=True)
    assert store.known("/a", A, 5, FILE) == everything
    assert store.known("/a", A, 5, other) == replace(everything, same_file=False)
    assert store.known("/b", A, 5, FILE._replace(ctime=2)) == Known(content=True, same_file=True)
    assert store.known("/b", A, 5, other) == Known(content=True)
    assert store.known("/a", B, 5, FILE) == Known(path=True)
    assert store.known("/b", B, 5, other) == Known()


@pytest.mark.parametrize("content", [A, B, b""])
@pytest.mark.parametrize("of_one_file", [False, True])
def test_what_is_known_is_found_as_quickly_among_many_that_are_alike(store, content, of_one_file):
    def steps(number):
        """How much SQLite does to look up a program, in hundreds of its instructions."""
        file = FILE._replace(inode=10 if of_one_file else number, ctime=number)
        done = []
        store._db.set_progress_handler(lambda: done.append(None), 100)
        store.known(f"/{number}", content, 5, file)
        store._db.set_progress_handler(None, 0)
        return len(done)

    with store.transaction():
        for number in range(100):
            file = FILE._replace(inode=10 if of_one_file else number, ctime=number)
            store.remember(f"/{number}", A if number % 2 else b"", FOUND, 1.0, file)
        few = steps(100)
        for number in range(100, 5000):
            file = FILE._replace(inode=10 if of_one_file else number, ctime=number)
            store.remember(f"/{number}", A if number % 2 else b"", FOUND, 1.0, file)
        assert steps(5000) <= few + 2


@pytest.mark.parametrize("change", [{"inode": 9}, {"dev": (8, 2)}, {"generation": 4}, {"ctime": 9}, {"path_hash": 9}])
def test_a_file_is_known_by_everything_that_tells_it(store, change):
    with store.transaction():
        program = store.remember("/a", A, LEARNT, 1.0, FILE)
    assert store.program_of(FILE) == program
    assert store.program_of(FILE._replace(**change)) is None


def test_a_program_of_the_baseline_that_could_not_be_read_is_known_by_its_size(store):
    unread, other = content_key(None, 5), FILE._replace(inode=1)
    with store.transaction():
        store.remember("/a", unread, LEARNT, 1.0, FILE)
        store.remember("/found", unread, FOUND, 1.0)
        store.remember("/read", A, LEARNT, 1.0, FILE)
    assert store.known("/a", unread, 5, other).program
    assert store.known("/a", B, 5, other).program
    assert not store.known("/a", B, 6, other).program
    assert store.known("/found", B, 5, other) == Known(path=True), "who is quick enough could choose the content"
    assert store.known("/b", unread, 5, other) == Known(), "a size is no content that is known elsewhere"
    assert store.known("/read", unread, 5, other) == Known(path=True)


def test_a_transaction_is_all_or_nothing(store):
    def fail():
        with store.transaction():
            store.remember("/a", A, LEARNT, 1.0, FILE)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert store.count("programs") == 0


def test_keys_mean_the_same_after_a_restart(tmp_path):
    labels = Labels("/a", "/ld.so", "null")
    store = Catalogue(tmp_path / "catalogue.db", create=True)
    with store.transaction():
        store.name_key(b"key", labels, store.remember("/a", A, LEARNT, 1.0), watched=False)
        store.name_key(b"older", labels, None, watched=True)
    store.close()
    store = Catalogue(tmp_path / "catalogue.db", create=True)
    assert store.meanings(10) == {b"key": labels, b"older": labels}
    assert list(store.meanings(1)) == [b"older"], "the newest"
    assert store.key(b"older") == (None, True)
    assert store.key(b"other") is None
    store.close()


def test_a_finding_is_there_once(store):
    with store.transaction():
        assert store.add_finding(finding(1, 5.0, PackageVerdict("dpkg", "nmap", "agrees")), '{"a": 1}')
        assert not store.add_finding(finding(1, 9.0), "{}")
    (found,) = store.findings()
    assert (found.first_seen, found.last_seen, found.sightings) == (5.0, 9.0, 2)
    assert found.acceptance_subject.package == "nmap"
    assert store.record(found) == '{"a": 1}'
    assert list(store.findings(found.id[:6])) == [found]
    assert list(store.findings("ffff")) == []


def test_a_package_whose_digest_differs_is_not_accepted_as_the_packages():
    assert finding(1, package=PackageVerdict("dpkg", "nmap", "differs")).acceptance_subject.package == ""


def test_a_finding_that_is_forgotten_is_new_again(store):
    with store.transaction():
        program = store.remember("/tmp/1", A, FOUND, 1.0, FILE)
        store.name_key(b"key", Labels("/tmp/1", "", "null"), program, watched=False)
        store.add_finding(finding(1), "{}")
        store.forget(finding(1))
    assert list(store.findings()) == []
    assert store.program_of(FILE) is None
    assert store.key(b"key") is None, "else its next execution is not looked at"
    assert store.known("/tmp/1", A, 5, FILE) == Known()


def test_ids_are_the_same_everywhere_and_made_of_path_and_content():
    assert finding_id("/usr/bin/true", A) == "b380e7f2c09226b8"
    assert (
        len({finding_id(path, content) for path in ("/a", "/b") for content in (A, B, b"", content_key(None, 1))}) == 8
    )
    assert finding(1, 1.0).id == finding(1, 2.0).id == replace(finding(1), reason=Reason.SCRIPT).id


def test_what_was_found_is_forgotten_before_what_was_learnt(store):
    with store.transaction():
        store.remember("/learnt", A, LEARNT, 1.0)
        for number in range(300):
            store.remember(f"/found/{number}", A, FOUND, 2.0)
        assert store.trim(100) == 201 + 1
    left = {path for path, *_ in store.programs()}
    assert "/learnt" in left
    assert len(left) == 99
    assert "/found/299" in left
    assert "/found/0" not in left


def test_what_was_executed_again_is_forgotten_last(store):
    with store.transaction():
        first = store.remember("/first", A, LEARNT, 1.0)
        for number in range(200):
            store.remember(f"/{number}", A, LEARNT, 2.0)
        store.touch([first], 3.0)
        store.trim(100)
    assert "/first" in {path for path, *_ in store.programs()}


def test_the_wall_clock_does_not_say_what_is_forgotten(store):
    with store.transaction():
        for number in range(200):
            store.remember(f"/{number}", A, LEARNT, now=1e9 - number)
        store.trim(100)
    assert "/199" in {path for path, *_ in store.programs()}


def test_everything_is_bounded(store):
    with store.transaction():
        program = store.remember("/a", A, LEARNT, 1.0)
        for number in range(500):
            store.remember("/a", A, LEARNT, 1.0, FILE._replace(inode=number))
            store.name_key(str(number).encode(), Labels("/a", "", "null"), program, watched=False)
            store.add_finding(finding(number, number), "{}")
        store.trim(100)
    assert store.count("identities") <= 200
    assert store.count("keys") <= 200
    assert store.count("findings") == 100
    assert next(store.findings()).path == "/tmp/499"


def test_acceptances_are_kept_and_replaced(store):
    with store.transaction():
        store.accept(Acceptance("path", "/opt/*", "one", 5.0), 1.0)
        store.accept(Acceptance("path", "/opt/*", "two"), 2.0)
        store.accept(Acceptance("package", "nmap", "three"), 2.0)
        assert store.withdraw(Acceptance("package", "nmap"))
        assert not store.withdraw(Acceptance("package", "nmap"))
    ((one),) = store.acceptances()
    assert (one.kind, one.pattern, one.reason, one.expires) == ("path", "/opt/*", "two", None)


def test_another_process_is_noticed(store):
    before = store.version
    other = Catalogue(store.path, create=False)
    with other.transaction():
        other.set("x", 1)
    other.close()
    assert store.version != before
    assert store.get("x") == 1


def test_only_the_owner_may_read_it(tmp_path):
    store = Catalogue(tmp_path / "new/catalogue.db", create=True)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "new").iterdir()]
    store.close()
    assert modes == [0o600] * len(modes)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


@pytest.mark.parametrize("content", [b"no database", b"SQLite format 3\0" + b"x" * 4096], ids=["text", "broken"])
def test_a_damaged_file_is_set_aside_and_a_new_one_says_that_it_was_lost(tmp_path, caplog, content):
    path = tmp_path / "catalogue.db"
    path.write_bytes(content)
    with pytest.raises(Damaged):
        Catalogue(path, create=True)
    keeper = RecoveringCatalogue(path)
    (aside,) = tmp_path.glob("*.damaged-*")
    assert aside.read_bytes() == content
    assert keeper.catalogue.get(learning.LOST) == 1
    assert keeper.errors == 1
    assert "damaged" in caplog.text
    keeper.close()


def test_damage_in_the_middle_is_found_when_it_is_opened(tmp_path):
    path = tmp_path / "catalogue.db"
    store = Catalogue(path, create=True)
    with store.transaction():
        for number in range(2000):
            store.remember(f"/some/path/{number}", A, LEARNT, 1.0)
    store.close()
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 8192] = b"\xff" * 8192
    path.write_bytes(data)
    keeper = RecoveringCatalogue(path)
    assert keeper.catalogue.count("programs") == 0
    assert len(list(tmp_path.glob("*.damaged-*"))) == 1
    keeper.close()


def test_two_that_are_set_aside_in_one_second_are_both_kept(tmp_path):
    path = tmp_path / "catalogue.db"
    names = set()
    for _ in range(3):
        path.write_bytes(b"x")
        names.add(set_aside(path))
    assert len(names) == 3
    assert all(name.exists() for name in names)


def test_a_database_of_something_else_is_not_written_into(tmp_path):
    path = tmp_path / "catalogue.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE precious (x)")
    db.close()
    with pytest.raises(Damaged, match="something else"):
        Catalogue(path, create=False)
    RecoveringCatalogue(path).close()
    (aside,) = tmp_path.glob("*.damaged-*")
    assert sqlite3.connect(aside).execute("SELECT * FROM precious").fetchall() == []


def test_a_newer_catalogue_is_left_alone(tmp_path, caplog):
    path = tmp_path / "catalogue.db"
    Catalogue(path, create=True).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version=99")
    db.close()
    with pytest.raises(Unusable, match="newer"):
        Catalogue(path, create=True)
    keeper = RecoveringCatalogue(path)
    assert keeper.catalogue is None
    assert len(keeper.hash_key) == 16
    assert "newer" in caplog.text
    assert not list(tmp_path.glob("*.damaged-*"))


def test_a_place_that_cannot_be_used_is_said_once_and_tried_again(tmp_path, caplog):
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where a directory should be")
    keeper = RecoveringCatalogue(blocked / "catalogue.db")
    key = keeper.hash_key
    for _ in range(3):
        keeper.check()
    assert (keeper.catalogue, keeper.errors) == (None, 4)
    assert len(caplog.records) == 1
    blocked.unlink()
    keeper.check()
    assert keeper.catalogue.get("hash_key") == keeper.hash_key == key
    keeper.close()


def test_the_key_of_the_probe_is_kept(tmp_path):
    keepers = [RecoveringCatalogue(tmp_path / "catalogue.db") for _ in range(2)]
    assert keepers[0].hash_key == keepers[1].hash_key
    assert keepers[0].hash_key != RecoveringCatalogue(tmp_path / "other.db").hash_key
    for keeper in keepers:
        keeper.close()


def test_keys_of_another_layout_mean_nothing(tmp_path):
    keeper = RecoveringCatalogue(tmp_path / "catalogue.db")
    with keeper.catalogue.transaction():
        keeper.catalogue.name_key(b"key", Labels("/a", "", "null"), None, watched=False)
        keeper.catalogue.set("key_format", "another")
    keeper.close()
    keeper.open()
    assert keeper.catalogue.meanings(10) == {}
    keeper.close()


def test_a_catalogue_that_is_taken_away_is_lost(tmp_path, caplog):
    path = tmp_path / "catalogue.db"
    keeper = RecoveringCatalogue(path)
    key = keeper.hash_key
    path.rename(tmp_path / "away.db")
    keeper.check()
    assert keeper.catalogue.get(learning.LOST) == 1
    assert keeper.catalogue.get("hash_key") == key
    assert "taken away" in caplog.text
    keeper.close()


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@settings(max_examples=30)
@given(st.lists(st.tuples(st.floats(0, 50), st.booleans(), st.floats(-1e9, 1e9)), min_size=1, max_size=20))
def test_learning_lasts_as_long_as_it_ran_whatever_the_wall_clock_does(tmp_path_factory, steps):
    """Each step: time that passes, whether a restart follows, and where the wall clock is set."""
    store = Catalogue(tmp_path_factory.mktemp("learning") / "catalogue.db", create=True)
    boottime, wall, ran = Clock(), Clock(), 0.0
    one = Learning(100.0, boottime, wall)
    one.load(store)
    for passes, restarts, jump in steps:
        boottime.now += passes
        ran += passes
        wall.now += jump
        with store.transaction():
            one.tick(store)
        assert one.active == (ran < 100.0) or abs(ran - 100.0) < 1e-6
        if not one.active:
            break
        assert one.state == "learning"
        assert abs(one.end - (wall.now + 100.0 - ran)) <= 1.0
        if restarts:
            boottime.now = 5.0 if jump > 0 else boottime.now + 3600  # a reboot, or time in which nothing watched
            one = Learning(100.0, boottime, wall)
            one.load(store)
    store.close()


def test_learning_that_is_over_stays_over(store):
    one = Learning(0.0)
    with store.transaction():
        one.tick(store)
    again = Learning(1e9)
    again.load(store)
    assert (again.active, again.state) == (False, "watching")


def test_learning_anew_says_that_something_was_lost_until_it_is_over(store):
    clock = Clock()
    one = Learning(10.0, clock)
    with store.transaction():
        store.set(learning.LOST, 1)
        one.tick(store)
    assert one.state == "lost"
    clock.now += 11
    with store.transaction():
        one.tick(store)
    assert one.state == "watching"
