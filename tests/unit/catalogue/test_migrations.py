"""Recorded catalogues of every version: `sqlite3 catalogue.db .dump` of what that version wrote, with its numbers."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from exporter.catalogue import learning
from exporter.catalogue.acceptance import Acceptance
from exporter.catalogue.catalogue import ACCEPTED_FILE, Catalogue
from exporter.catalogue.finding import Finding, Reason
from exporter.catalogue.migrations import STEPS
from exporter.catalogue.recovery import RecoveringCatalogue
from exporter.catalogue.sqlite_file import VERSION, Newer
from exporter.commands import catalogue as catalogue_command
from exporter.commands import findings
from exporter.errors import USAGE, ExporterError
from exporter.escape import shortened
from exporter.events.decode import Identity
from exporter.host.packages import PackageVerdict

RECORDED = sorted((Path(__file__).parent / "recorded").glob("version-*.sql"))
LONG = "/" + r"long\xff" * 500
KEY = bytes(range(16))


def version_of(path):
    with closing(sqlite3.connect(path)) as db:
        return db.execute("PRAGMA user_version").fetchone()[0]


@pytest.fixture(params=RECORDED, ids=lambda path: path.stem)
def recorded(request, tmp_path):
    path = tmp_path / "catalogue.db"
    with closing(sqlite3.connect(path)) as db:
        db.executescript(request.param.read_text("utf-8"))
    return path


def test_every_version_before_this_has_a_recorded_state():
    assert {path.stem for path in RECORDED} >= {f"version-{number}" for number in range(1, VERSION)}
    assert RECORDED


def test_programs_findings_acceptances_and_learning_survive(recorded):
    with closing(Catalogue(recorded, create=True)) as catalogue:
        assert catalogue.get(learning.ELAPSED) == 86_400.5
        assert catalogue.get(learning.OVER) == 1_764_500_000.0
        assert catalogue.get(ACCEPTED_FILE) == "/etc/exec_exporter/accepted.yml"
        assert list(catalogue.programs()) == [
            ("/usr/bin/learnt", b"a" * 32, True),
            ("/usr/bin/seeded", b"b" * 32, True),
            ("/usr/bin/imported", b"c" * 32, True),
            ("/usr/bin/unread", (4096).to_bytes(8, "big"), True),
            ("/opt/name\\xff\\x0a", b"", True),
            ("/opt/open", b"d" * 32, False),
            ("/opt/accepted", b"e" * 32, True),
            ("/usr/bin/packaged", b"f" * 32, False),
            (shortened(LONG), b"g" * 32, False),
        ]
        identity = Identity(101, (8, 1), 7, 1_700_000_000_000_000_001, 78)
        assert catalogue.program_of(identity) == 1
        t = 1_764_510_000.0
        verdict = PackageVerdict("dpkg", "tool", "match")
        assert list(catalogue.findings()) == [
            Finding(Reason.NEW_PATH, shortened(LONG), "", b"g" * 32, t + 3, t + 3),
            Finding(Reason.NEW_PATH, "/usr/bin/packaged", "", b"f" * 32, t + 2, t + 2, 1, verdict),
            Finding(Reason.CONTENT_CHANGED, "/opt/accepted", "/bin/sh", b"e" * 32, t + 1, t + 1),
            Finding(Reason.NEW_PATH, "/opt/open", "", b"d" * 32, t, t),
        ]
        assert [catalogue.record(finding) for finding in catalogue.findings()] == [
            f'{{"pid": {pid}, "argv": null}}' for pid in (10, 9, 8, 7)
        ]
        assert catalogue.acceptances() == [
            Acceptance("path", "/opt/acc*", "ours", None, 1),
            Acceptance("id", "0123456789abcdef", "until then", 4_102_444_800.0, 2),
            Acceptance("id", Finding(Reason.NEW_PATH, shortened(LONG), "", b"g" * 32, t, t).id, "long", None, 3),
        ]
        assert catalogue.totals() == {"new_path": 3, "content_changed": 1}
    assert version_of(recorded) == VERSION


def test_the_service_continues_with_it(recorded):
    with closing(RecoveringCatalogue(recorded)) as recovering:
        assert recovering.hash_key == KEY
        assert recovering.catalogue.get(learning.LOST) == 0
        assert recovering.errors == 0


def test_what_was_converted_has_the_tables_of_a_new_one(recorded, tmp_path):
    Catalogue(recorded, create=True).close()
    Catalogue(tmp_path / "new.db", create=True).close()
    query = "SELECT type, name, tbl_name FROM sqlite_schema ORDER BY type, name"
    shapes = []
    for path in (recorded, tmp_path / "new.db"):
        with closing(sqlite3.connect(path)) as db:
            tables = db.execute(query).fetchall()
            shapes.append((tables, [db.execute(f"PRAGMA table_xinfo({name})").fetchall() for _, name, _ in tables]))
    assert shapes[0] == shapes[1]


def test_commands_that_read_do_not_convert_the_file(recorded, capsys):
    before = version_of(recorded)
    findings.run(["list", f"--catalogue.path={recorded}"])
    assert "/opt/open" in capsys.readouterr().out
    catalogue_command.run(["export", f"--catalogue.path={recorded}"])
    assert '"/usr/bin/learnt"' in capsys.readouterr().out
    assert version_of(recorded) == before


def test_a_step_that_fails_leaves_the_version_before(tmp_path, monkeypatch):
    def half_a_step(connection):
        connection.execute("CREATE TABLE half (x)")
        connection.execute("nonsense")

    path = tmp_path / "catalogue.db"
    Catalogue(path, create=True).close()
    monkeypatch.setattr("exporter.catalogue.sqlite_file.STEPS", (*STEPS, half_a_step))
    monkeypatch.setattr("exporter.catalogue.sqlite_file.VERSION", VERSION + 1)
    recovering = RecoveringCatalogue(path)
    assert recovering.catalogue is None
    assert version_of(path) == VERSION
    with closing(sqlite3.connect(path)) as db:
        assert not db.execute("SELECT * FROM sqlite_schema WHERE name = 'half'").fetchall()
    assert not list(tmp_path.glob("*.damaged-*"))


def test_a_step_that_rebuilds_a_table_keeps_the_rows_that_refer_to_it(recorded, monkeypatch):
    def rebuild(connection):
        (schema,) = connection.execute("SELECT sql FROM sqlite_schema WHERE name = 'programs'").fetchone()
        connection.execute(schema.replace("programs", "new", 1))
        connection.execute("INSERT INTO new SELECT * FROM programs")
        connection.execute("DROP TABLE programs")
        connection.execute("ALTER TABLE new RENAME TO programs")

    monkeypatch.setattr("exporter.catalogue.sqlite_file.STEPS", (*STEPS, rebuild))
    monkeypatch.setattr("exporter.catalogue.sqlite_file.VERSION", VERSION + 1)
    with closing(Catalogue(recorded, create=True)) as catalogue:
        assert catalogue.count("identities") == 5
        assert catalogue.count("keys") == 3


@pytest.fixture
def newer(tmp_path):
    path = tmp_path / "catalogue.db"
    Catalogue(path, create=True).close()
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version=99")
    return path


def test_a_newer_catalogue_is_refused_and_left_alone(newer):
    before = newer.read_bytes()
    with pytest.raises(Newer):
        Catalogue(newer, create=True)
    commands = [
        lambda: RecoveringCatalogue(newer),
        lambda: findings.run(["list", f"--catalogue.path={newer}"]),
        lambda: findings.run(["accept", "--path=/*", "--reason=x", f"--catalogue.path={newer}"]),
        lambda: catalogue_command.run(["export", f"--catalogue.path={newer}"]),
    ]
    for command in commands:
        with pytest.raises(ExporterError, match="version 99, of a newer exec_exporter") as error:
            command()
        assert error.value.status == USAGE
    assert newer.read_bytes() == before
    assert not list(newer.parent.glob("*.damaged-*"))


def test_one_that_is_newer_when_it_is_opened_again_is_not_set_aside(tmp_path, caplog):
    path = tmp_path / "catalogue.db"
    recovering = RecoveringCatalogue(path)
    recovering.close()
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version=99")
    recovering.check()
    assert recovering.catalogue is None
    assert "of a newer exec_exporter" in caplog.text
    assert version_of(path) == 99
    assert not list(tmp_path.glob("*.damaged-*"))
