"""The catalogue: its contents, and the order of eviction."""

import shutil
from contextlib import closing
from dataclasses import replace

import pytest

from exporter.catalogue.acceptance import Acceptance
from exporter.catalogue.catalogue import FOUND, IMPORTED, LEARNT, Catalogue, Known
from exporter.catalogue.finding import Finding, Reason, content_key, finding_id
from exporter.escape import escape, shortened
from exporter.events.decode import Identity
from exporter.events.labels import Labels
from exporter.host.packages import PackageVerdict

A, B, C = b"a" * 32, b"b" * 32, b"c" * 32
BYTES = 1 << 40
FILE = Identity(inode=10, dev=(8, 1), generation=3, ctime=1000, path_hash=7)


@pytest.fixture
def catalogue(tmp_path):
    catalogue = Catalogue(tmp_path / "catalogue.db", create=True)
    yield catalogue
    catalogue.close()


def finding(number, first_seen=0.0, package=None):
    return Finding(Reason.NEW_PATH, f"/tmp/{number}", "", A, first_seen, first_seen, package=package)


def test_known_facts_of_a_program(catalogue):
    with catalogue.transaction():
        catalogue.remember("/a", A, LEARNT, 1.0, FILE)
    other = FILE._replace(inode=11)
    everything = Known(program=True, executed=True, path=True, content=True, same_file=True)
    assert catalogue.known("/a", A, 5, FILE) == everything
    assert catalogue.known("/a", A, 5, other) == replace(everything, same_file=False)
    assert catalogue.known("/b", A, 5, FILE._replace(ctime=2)) == Known(content=True, same_file=True)
    assert catalogue.known("/b", A, 5, other) == Known(content=True)
    assert catalogue.known("/a", B, 5, FILE) == Known(path=True)
    assert catalogue.known("/b", B, 5, other) == Known()


@pytest.mark.parametrize("content", [A, B, b""])
@pytest.mark.parametrize("of_one_file", [False, True])
def test_a_program_is_found_as_quickly_among_many_similar_ones(catalogue, content, of_one_file):
    def steps(number):
        """Return the cost of looking up a program, in hundreds of SQLite's instructions."""
        file = FILE._replace(inode=10 if of_one_file else number, ctime=number)
        done = []
        catalogue._db.set_progress_handler(lambda: done.append(None), 100)
        catalogue.known(f"/{number}", content, 5, file)
        catalogue._db.set_progress_handler(None, 0)
        return len(done)

    with catalogue.transaction():
        for number in range(100):
            file = FILE._replace(inode=10 if of_one_file else number, ctime=number)
            catalogue.remember(f"/{number}", A if number % 2 else b"", FOUND, 1.0, file)
        few = steps(100)
        for number in range(100, 5000):
            file = FILE._replace(inode=10 if of_one_file else number, ctime=number)
            catalogue.remember(f"/{number}", A if number % 2 else b"", FOUND, 1.0, file)
        assert steps(5000) <= few + 2


@pytest.mark.parametrize("change", [{"inode": 9}, {"dev": (8, 2)}, {"generation": 4}, {"ctime": 9}, {"path_hash": 9}])
def test_a_file_is_known_by_everything_that_tells_it(catalogue, change):
    with catalogue.transaction():
        program = catalogue.remember("/a", A, LEARNT, 1.0, FILE)
    assert catalogue.program_of(FILE) == program
    assert catalogue.program_of(FILE._replace(**change)) is None


def test_a_program_of_the_baseline_that_could_not_be_read_is_known_by_its_size(catalogue):
    unread, other = content_key(None, 5), FILE._replace(inode=1)
    with catalogue.transaction():
        catalogue.remember("/a", unread, LEARNT, 1.0, FILE)
        catalogue.remember("/found", unread, FOUND, 1.0)
        catalogue.remember("/read", A, LEARNT, 1.0, FILE, 5)
        catalogue.remember("/imported", A, IMPORTED, 1.0)
        catalogue.remember("/quick", b"", LEARNT, 1.0)
        catalogue.remember("[memfd]", unread, FOUND, 1.0, None, 5)
        catalogue.remember("[memfd]", A, FOUND, 1.0, None, 6)
        catalogue.remember("[deleted]", unread, FOUND, 1.0, None, 5)
    assert catalogue.known("/a", unread, 5, other).program
    assert catalogue.known("/a", B, 5, other).program
    assert not catalogue.known("/a", B, 6, other).program
    assert catalogue.known("/found", B, 5, other) == Known(path=True), "who is quick enough could choose the content"
    assert catalogue.known("/b", unread, 5, other) == Known(), "a size is no content that is known elsewhere"
    assert catalogue.known("/read", unread, 5, other).program
    assert catalogue.known("/read", b"", None, other).program
    assert catalogue.known("/read", content_key(None, 6), 6, other) == Known(path=True)
    assert catalogue.known("/imported", unread, 5, other).program
    assert catalogue.known("[memfd]", content_key(None, 6), 6, other).program
    assert catalogue.known("[memfd]", b"", None, other) == Known(path=True), "any file in memory"
    assert catalogue.known("[deleted]", b"", None, other) == Known(path=True), "any file without a name"
    assert catalogue.known("/quick", A, 5, other).program
    assert catalogue.known("[memfd]", B, 5, other).program
    assert catalogue.known("[memfd]", B, 6, other) == Known(path=True)
    assert catalogue.known("[deleted]", B, 5, other) == Known(path=True)


def test_a_file_that_was_not_read_does_not_stand_for_a_program_that_was(catalogue):
    """Nobody has seen that it has this content: it is looked at again."""
    with catalogue.transaction():
        program = catalogue.remember("/a", A, LEARNT, 1.0, FILE, 5)
        assert catalogue.remember("/a", content_key(None, 5), LEARNT, 1.0, FILE._replace(inode=1), 5) == program
    assert catalogue.program_of(FILE) == program
    assert catalogue.program_of(FILE._replace(inode=1)) is None


@pytest.mark.parametrize("unread", [b"", content_key(None, 5)])
def test_a_learnt_program_has_the_content_that_is_read_first(catalogue, unread):
    with catalogue.transaction():
        program = catalogue.remember("/a", unread, LEARNT, 1.0, FILE, 5)
        assert catalogue.remember("/a", A, LEARNT, 2.0, FILE._replace(ctime=2), 5) == program
    assert list(catalogue.programs()) == [("/a", A, True)]
    assert catalogue.known("/a", B, 5, FILE._replace(ctime=3)) == Known(path=True)


def test_programs_of_one_path_and_size_in_two_images_are_told_apart_once_they_are_read(catalogue):
    unread, other = content_key(None, 5), FILE._replace(inode=1)
    with catalogue.transaction():
        first, second = (
            catalogue.remember("/app", unread, LEARNT, 1.0, size=5, scope=scope, learning=True) for scope in (3, 5)
        )
        assert first == second
        for scope, content in ((3, A), (5, B)):
            assert catalogue.known("/app", content, 5, other, scope).program
            catalogue.remember("/app", content, LEARNT, 2.0, other._replace(inode=scope), 5, scope)
    assert [content for _, content, learnt in catalogue.programs() if learnt] == [unread, A, B]
    assert not catalogue.known("/app", C, 6, other, 3).program


def test_what_was_not_read_stands_for_contents_of_its_own_scope_alone(catalogue):
    unread, other = content_key(None, 5), FILE._replace(inode=1)
    with catalogue.transaction():
        catalogue.remember("/app", A, LEARNT, 1.0, FILE, 5, 3, learning=True)
        assert not catalogue.known("/app", unread, 5, other, 5, learning=True).program
        catalogue.remember("/app", unread, LEARNT, 1.0, other, 5, 5, learning=True)
        assert not catalogue.known("/app", B, 5, other, 3).program
        assert catalogue.known("/app", unread, 5, other, 7).program, "by its size, once learning is over"
        catalogue.remember("/app", unread, LEARNT, 2.0, other, 5, 7)
        assert not catalogue.known("/app", B, 5, other, 7).program, "who is quick enough could choose the content"
        assert catalogue.known("/app", B, 5, other, 5).program
        catalogue.remember("/app", B, LEARNT, 2.0, other, 5, 5)
    assert [content for _, content, _ in catalogue.programs()] == [A, B]
    assert catalogue.known("/app", C, 5, other, 3) == Known(path=True)


def test_a_transaction_is_all_or_nothing(catalogue):
    def fail():
        with catalogue.transaction():
            catalogue.remember("/a", A, LEARNT, 1.0, FILE)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert catalogue.count("programs") == 0


def test_keys_mean_the_same_after_a_restart(tmp_path):
    labels = Labels("/a", "/ld.so", "null")
    catalogue = Catalogue(tmp_path / "catalogue.db", create=True)
    with catalogue.transaction():
        catalogue.name_key(b"key", labels, catalogue.remember("/a", A, LEARNT, 1.0), watched=False)
        catalogue.name_key(b"older", labels, None, watched=True)
    catalogue.close()
    catalogue = Catalogue(tmp_path / "catalogue.db", create=True)
    assert catalogue.labels(10) == {b"key": labels, b"older": labels}
    assert list(catalogue.labels(1)) == [b"older"], "the newest"
    assert catalogue.program_of_key(b"older") == (None, True)
    assert catalogue.program_of_key(b"other") is None
    catalogue.close()


def test_a_finding_is_there_once(catalogue):
    with catalogue.transaction():
        assert catalogue.add_finding(finding(1, 5.0, PackageVerdict("dpkg", "nmap", "agrees")), '{"a": 1}')
        assert not catalogue.add_finding(finding(1, 9.0), "{}")
    (found,) = catalogue.findings()
    assert (found.first_seen, found.last_seen, found.sightings) == (5.0, 9.0, 2)
    assert found.acceptance_subject["package"] == "nmap"
    assert catalogue.record(found) == '{"a": 1}'
    assert list(catalogue.findings(found.id[:6])) == [found]
    assert list(catalogue.findings("ffff")) == []


def test_a_package_whose_digest_differs_is_not_accepted_as_the_packages():
    assert finding(1, package=PackageVerdict("dpkg", "nmap", "differs")).acceptance_subject["package"] == ""


def test_a_finding_that_is_forgotten_is_new_again(catalogue):
    with catalogue.transaction():
        program = catalogue.remember("/tmp/1", A, FOUND, 1.0, FILE)
        catalogue.name_key(b"key", Labels("/tmp/1", "", "null"), program, watched=False)
        catalogue.add_finding(finding(1), "{}")
        catalogue.forget(finding(1))
    assert list(catalogue.findings()) == []
    assert catalogue.program_of(FILE) is None
    assert catalogue.program_of_key(b"key") is None, "else its next execution is not looked at"
    assert catalogue.known("/tmp/1", A, 5, FILE) == Known()


def test_ids_are_the_same_everywhere_and_made_of_path_and_content():
    assert finding_id("/usr/bin/true", A) == "b380e7f2c09226b8"
    assert (
        len({finding_id(path, content) for path in ("/a", "/b") for content in (A, B, b"", content_key(None, 1))}) == 8
    )
    assert finding(1, 1.0).id == finding(1, 2.0).id == replace(finding(1), reason=Reason.SCRIPT).id


def test_found_programs_are_forgotten_before_learnt_ones(catalogue):
    with catalogue.transaction():
        catalogue.remember("/learnt", A, LEARNT, 1.0)
        for number in range(300):
            catalogue.remember(f"/found/{number}", A, FOUND, 2.0)
        assert catalogue.trim(100, BYTES) == 201 + 1
    left = {path for path, *_ in catalogue.programs()}
    assert "/learnt" in left
    assert len(left) == 99
    assert "/found/299" in left
    assert "/found/0" not in left


def test_a_program_executed_again_is_forgotten_last(catalogue):
    with catalogue.transaction():
        first = catalogue.remember("/first", A, LEARNT, 1.0)
        for number in range(200):
            catalogue.remember(f"/{number}", A, LEARNT, 2.0)
        catalogue.touch([first], 3.0)
        catalogue.trim(100, BYTES)
    assert "/first" in {path for path, *_ in catalogue.programs()}


def test_the_wall_clock_does_not_decide_which_programs_are_forgotten(catalogue):
    with catalogue.transaction():
        for number in range(200):
            catalogue.remember(f"/{number}", A, LEARNT, now=1e9 - number)
        catalogue.trim(100, BYTES)
    assert "/199" in {path for path, *_ in catalogue.programs()}


def test_everything_is_bounded(catalogue):
    with catalogue.transaction():
        program = catalogue.remember("/a", A, LEARNT, 1.0)
        for number in range(500):
            catalogue.remember("/a", A, LEARNT, 1.0, FILE._replace(inode=number))
            catalogue.name_key(str(number).encode(), Labels("/a", "", "null"), program, watched=False)
            catalogue.add_finding(finding(number, number), "{}")
        catalogue.trim(100, BYTES)
    assert catalogue.count("identities") <= 200
    assert catalogue.count("keys") <= 200
    assert catalogue.count("findings") == 100
    assert next(catalogue.findings()).path == "/tmp/499"


def test_acceptances_are_kept_and_replaced(catalogue):
    with catalogue.transaction():
        catalogue.accept(Acceptance("path", "/opt/*", "one", 5.0), 1.0)
        catalogue.accept(Acceptance("path", "/opt/*", "two"), 2.0)
        catalogue.accept(Acceptance("package", "nmap", "three"), 2.0)
        assert catalogue.withdraw(Acceptance("package", "nmap"))
        assert not catalogue.withdraw(Acceptance("package", "nmap"))
    ((one),) = catalogue.acceptances()
    assert (one.kind, one.pattern, one.reason, one.expires) == ("path", "/opt/*", "two", None)


def test_another_process_is_noticed(catalogue):
    before = catalogue.version
    other = Catalogue(catalogue.path, create=False)
    with other.transaction():
        other.set("x", 1)
    other.close()
    assert catalogue.version != before
    assert catalogue.get("x") == 1


def test_bytes_are_bounded_and_what_is_open_stays_longest(catalogue):
    long = "/" + "x" * 250
    with catalogue.transaction():
        program = catalogue.remember("/learnt", A, LEARNT, 1.0)
        for number in range(4000):
            path = f"{long}{number}"
            program = catalogue.remember(path, A, FOUND, 1.0, FILE._replace(inode=number))
            catalogue.name_key(path.encode(), Labels(path, path, "null"), program, watched=False)
            if number < 2000:
                catalogue.add_finding(replace(finding(number, number), path=path), "x" * 2000)
            if number < 1000:
                catalogue.adopt(path, A)
    whole = catalogue.bytes
    with catalogue.transaction():
        assert catalogue.trim(10_000, whole) == 0
        assert catalogue.trim(10_000, whole - (2 << 20)) > 0
    assert catalogue.bytes <= whole - (2 << 20)
    first_seen = {int(each.first_seen) for each in catalogue.findings()}
    assert first_seen >= set(range(1000, 2000))
    assert len(first_seen) < 2000
    assert "/learnt" in {path for path, *_ in catalogue.programs()}
    with catalogue.transaction():
        catalogue.trim(10_000, 1 << 18)
    assert catalogue.bytes <= 1 << 18


def test_a_hostile_program_takes_as_many_bytes_as_documented(catalogue):
    before = catalogue.bytes
    with catalogue.transaction():
        for number in range(1000):
            path = shortened(escape(b"/" + b"\xff" * 4000 + b"%d" % number))
            program = catalogue.remember(path, number.to_bytes(32, "big"), FOUND, 1.0, FILE._replace(inode=number))
            catalogue.name_key(number.to_bytes(88, "big"), Labels(path, "", "null"), program, watched=False)
    assert (catalogue.bytes - before) / 1000 < 2048


def test_a_copy_of_the_file_alone_has_everything_that_was_merged(catalogue, tmp_path):
    with catalogue.transaction():
        catalogue.remember("/merged", A, LEARNT, 1.0)
    catalogue.merge()
    shutil.copy(catalogue.path, tmp_path / "copy.db")
    with closing(Catalogue(tmp_path / "copy.db", create=True)) as copy:
        assert [path for path, *_ in copy.programs()] == ["/merged"]
