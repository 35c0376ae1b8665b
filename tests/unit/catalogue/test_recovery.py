"""A catalogue that is damaged, deleted, of another version, or in a directory that cannot be used."""

import sqlite3
import stat
from contextlib import closing

import pytest

from exporter.catalogue import learning
from exporter.catalogue.catalogue import LEARNT, Catalogue
from exporter.catalogue.recovery import RecoveringCatalogue
from exporter.catalogue.sqlite_file import Damaged, Unusable, set_aside
from exporter.events.labels import Labels

A = b"a" * 32


def fill(catalogue, number):
    with catalogue.transaction():
        for each in range(number):
            catalogue.remember(f"/some/path/{each}", A, LEARNT, 1.0)


def test_only_the_owner_may_read_it(tmp_path):
    catalogue = Catalogue(tmp_path / "new/catalogue.db", create=True)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "new").iterdir()]
    catalogue.close()
    assert modes == [0o600] * len(modes)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


@pytest.mark.parametrize("content", [b"no database", b"SQLite format 3\0" + b"x" * 4096], ids=["text", "broken"])
def test_a_damaged_file_is_set_aside_and_a_new_one_records_the_loss(tmp_path, caplog, content):
    path = tmp_path / "catalogue.db"
    path.write_bytes(content)
    with pytest.raises(Damaged):
        Catalogue(path, create=True)
    recovering = RecoveringCatalogue(path)
    (aside,) = tmp_path.glob("*.damaged-*")
    assert aside.read_bytes() == content
    assert recovering.catalogue.get(learning.LOST) == 1
    assert recovering.errors == 1
    assert "damaged" in caplog.text
    recovering.close()


def test_damage_in_the_middle_is_found_when_it_is_opened(tmp_path):
    path = tmp_path / "catalogue.db"
    catalogue = Catalogue(path, create=True)
    fill(catalogue, 2000)
    catalogue.close()
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 8192] = b"\xff" * 8192
    path.write_bytes(data)
    recovering = RecoveringCatalogue(path)
    assert recovering.catalogue.count("programs") == 0
    assert len(list(tmp_path.glob("*.damaged-*"))) == 1
    recovering.close()


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
    with pytest.raises(Damaged, match="another application"):
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
    recovering = RecoveringCatalogue(path)
    assert recovering.catalogue is None
    assert len(recovering.hash_key) == 16
    assert "newer" in caplog.text
    assert not list(tmp_path.glob("*.damaged-*"))


def test_an_unusable_directory_is_logged_once_and_retried(tmp_path, caplog):
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where a directory should be")
    recovering = RecoveringCatalogue(blocked / "catalogue.db")
    key = recovering.hash_key
    for _ in range(3):
        recovering.check()
    assert (recovering.catalogue, recovering.errors) == (None, 4)
    assert len(caplog.records) == 1
    blocked.unlink()
    recovering.check()
    assert recovering.catalogue.get("hash_key") == recovering.hash_key == key
    recovering.close()


def test_the_key_of_the_probe_is_kept(tmp_path):
    both = [RecoveringCatalogue(tmp_path / "catalogue.db") for _ in range(2)]
    assert both[0].hash_key == both[1].hash_key
    assert both[0].hash_key != RecoveringCatalogue(tmp_path / "other.db").hash_key
    for recovering in both:
        recovering.close()


def test_keys_of_another_layout_mean_nothing(tmp_path):
    recovering = RecoveringCatalogue(tmp_path / "catalogue.db")
    with recovering.catalogue.transaction():
        recovering.catalogue.name_key(b"key", Labels("/a", "", "null"), None, watched=False)
        recovering.catalogue.set("key_format", "another")
    recovering.close()
    recovering.open()
    assert recovering.catalogue.labels(10) == {}
    recovering.close()


def test_a_catalogue_that_is_taken_away_is_lost(tmp_path, caplog):
    path = tmp_path / "catalogue.db"
    recovering = RecoveringCatalogue(path)
    key = recovering.hash_key
    path.rename(tmp_path / "away.db")
    recovering.check()
    assert recovering.catalogue.get(learning.LOST) == 1
    assert recovering.catalogue.get("hash_key") == key
    assert "was deleted" in caplog.text
    recovering.close()


def test_damage_that_is_met_while_it_runs_is_set_aside(tmp_path):
    path = tmp_path / "catalogue.db"
    recovering = RecoveringCatalogue(path)
    fill(recovering.catalogue, 2000)
    recovering.close()
    recovering.open()
    with path.open("r+b") as file:
        file.seek(8192)
        file.write(b"\xff" * (path.stat().st_size - 8192))
    with closing(sqlite3.connect(path)) as another:  # a change by another connection empties the cache
        another.execute("PRAGMA user_version=1")
    with pytest.raises(sqlite3.DatabaseError) as error:
        list(recovering.catalogue.programs())
    recovering.failed(error.value)
    assert list(recovering.catalogue.programs()) == []
    assert recovering.catalogue.get(learning.LOST) == 1
    assert len(list(tmp_path.glob("catalogue.db.damaged-*"))) == 1
    recovering.close()


def test_a_failure_is_logged_once_until_it_works_again(tmp_path, caplog):
    caplog.set_level("INFO")
    recovering = RecoveringCatalogue(tmp_path / "catalogue.db")
    for _ in range(2):
        for _ in range(3):
            recovering.failed(sqlite3.OperationalError("database or disk is full"))
        recovering.succeeded()
        recovering.succeeded()
    said = [record.message.partition("catalogue.db ")[2].partition(";")[0] for record in caplog.records]
    assert said == ["fails: database or disk is full", "works again"] * 2
    assert recovering.errors == 6
    recovering.close()
