"""A catalogue that is damaged, deleted, of another version, or in a directory that cannot be used."""

import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing, contextmanager

import pytest

from exporter.catalogue import learning
from exporter.catalogue.catalogue import LEARNT, Catalogue
from exporter.catalogue.recovery import RecoveringCatalogue
from exporter.catalogue.sqlite_file import VERSION, Damaged, set_aside
from exporter.commands import findings
from exporter.errors import USAGE, ExporterError
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


def test_a_pipe_or_device_is_no_catalogue_and_stays(tmp_path, caplog):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/zero")
    before = sorted(tmp_path.iterdir())
    for name in ("pipe", "device"):
        with closing(RecoveringCatalogue(tmp_path / name)) as recovering:
            assert recovering.catalogue is None
        assert f"the catalogue {tmp_path / name} fails: it is not a file" in caplog.text
    assert sorted(tmp_path.iterdir()) == before


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
    with closing(RecoveringCatalogue(tmp_path / "catalogue.db")) as first:
        key = first.hash_key
    with closing(RecoveringCatalogue(tmp_path / "catalogue.db")) as second:
        assert second.hash_key == key
    with closing(RecoveringCatalogue(tmp_path / "other.db")) as other:
        assert other.hash_key != key


OWNER = """
import sys
from pathlib import Path
from exporter.catalogue.recovery import RecoveringCatalogue
catalogue = RecoveringCatalogue(Path(sys.argv[1]))
print("owned", flush=True)
sys.stdin.read()
"""


@contextmanager
def owned_by_another(path):
    """Yields the process; the catalogue is given up when that ends."""
    command = [sys.executable, "-c", OWNER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "owned\n"
        try:
            yield process
        finally:
            process.kill()


def never(_):
    """Waits for nothing."""


def test_a_second_exporter_is_refused_with_the_pid_of_the_first(tmp_path, caplog):
    path, alias = tmp_path / "catalogue.db", tmp_path / "alias.db"
    alias.symlink_to(path)
    with owned_by_another(path) as process:
        for name in (path, alias):
            with pytest.raises(ExporterError, match=rf"another exec_exporter \(pid {process.pid}\) uses it") as error:
                RecoveringCatalogue(name, never)
            assert error.value.status == USAGE
    assert caplog.text.count("waiting up to") == 2


def test_one_that_starts_before_the_other_has_ended_waits_for_it(tmp_path):
    path = tmp_path / "catalogue.db"
    with owned_by_another(path) as process:

        def wait(_):
            process.kill()  # which leaves no lock behind
            process.wait()

        with closing(RecoveringCatalogue(path, wait)) as recovering:
            assert recovering.catalogue.count("programs") == 0


def test_commands_use_the_catalogue_of_a_running_service(tmp_path, capsys):
    path = tmp_path / "catalogue.db"
    with owned_by_another(path):
        findings.run(["accept", "--path=/opt/*", "--reason=ours", f"--catalogue.path={path}"])
        findings.run(["acceptances", f"--catalogue.path={path}"])
    assert "/opt/*" in capsys.readouterr().out


def test_a_command_does_not_convert_the_catalogue_of_a_running_service(tmp_path):
    path = tmp_path / "catalogue.db"
    with owned_by_another(path), closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version=1")
        with pytest.raises(ExporterError, match="restart the service first"):
            findings.run(["accept", "--path=/opt/*", "--reason=ours", f"--catalogue.path={path}"])
        assert db.execute("PRAGMA user_version").fetchone() == (1,)


def test_a_catalogue_that_is_put_in_place_of_the_open_one_is_used_as_it_is(tmp_path, caplog):
    path, backup = tmp_path / "catalogue.db", tmp_path / "backup.db"
    with closing(Catalogue(backup, create=True)) as catalogue:
        fill(catalogue, 7)
    recovering = RecoveringCatalogue(path)
    fill(recovering.catalogue, 3)
    backup.rename(path)
    recovering.check()
    assert recovering.catalogue.count("programs") == 7
    assert recovering.catalogue.get(learning.LOST) is None
    assert recovering.catalogue.get("hash_key") == recovering.hash_key
    assert "was replaced" in caplog.text
    recovering.close()
    with closing(Catalogue(path, create=True)) as catalogue:
        assert catalogue.count("programs") == 7


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
        another.execute(f"PRAGMA user_version={VERSION}")
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
