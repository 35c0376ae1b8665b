"""No finding is lost or repeated after a crash, on a full disk, or with a damaged or deleted catalogue."""

import signal
import sqlite3
import threading
import time
from contextlib import closing

import pytest

from exporter.catalogue.finding import Reason
from tests.kernel.command import served
from tests.kernel.novel import Host, new_elf, unmount, watching
from tests.kernel.programs import execute
from tests.kernel.tracing import mount
from tests.repetition import repetitions
from tests.waiting import until

KILLS = repetitions(2, exhaustive=60)


def ids_shown(host, below):
    return {
        sample.labels["id"]
        for sample in host.samples()
        if sample.name == "exec_novel_binary_first_seen_timestamp_seconds"
        and sample.labels["path"].startswith(str(below))
    }


def test_kill_in_a_storm_of_new_programs_loses_and_doubles_nothing(tmp_path):
    """Programs are executed all the time; those executed while no exporter ran are executed again, as in reality."""
    storm = tmp_path / "storm"
    storm.mkdir()
    executed, stop = [], threading.Event()

    def run():
        while not stop.is_set():
            program = new_elf(storm / f"program-{len(executed)}")
            execute(program)
            executed.append(program)
            time.sleep(0.05)  # the catalogue keeps 10,000 findings

    with watching(tmp_path):  # learning ends here
        pass
    load = threading.Thread(target=run)
    load.start()
    shown, counted = set(), 0
    try:
        for number in range(KILLS):
            with watching(tmp_path, status=-signal.SIGKILL) as host:
                assert shown <= ids_shown(host, storm), "what was shown once is there after kill -9"
                assert host.value("exec_novel_binaries_total", reason="new_path") >= counted
                time.sleep(0.2 * (number % 12))  # at any moment
                shown |= ids_shown(host, storm)
                counted = host.value("exec_novel_binaries_total", reason="new_path")
                host.service.process.kill()
            with closing(sqlite3.connect(tmp_path / "catalogue.db")) as db:
                assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    finally:
        stop.set()
        load.join()
    with watching(tmp_path) as host:

        def all_are_found():
            """Execute missing programs again: a record refused by the ring buffer waits for the next execution."""
            found = {row[0] for row in host.rows(storm)}
            missing = [program for program in executed if str(program) not in found]
            for program in missing:
                execute(program)
            host.catch_up()
            return not missing

        until(all_are_found)
        rows = host.rows(storm)
        assert sorted(row[0] for row in rows) == sorted(map(str, executed)), "each once"
        assert shown <= ids_shown(host, storm)
        assert host.value("exec_exporter_catalogue_errors_total") == 0
        assert not list(tmp_path.glob("*.damaged-*"))


def test_a_full_disk(tmp_path):
    """On a disk of 2 MB that fills up, executions are counted, and findings follow once there is room."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount("none", disk, "tmpfs", data="size=2m")
    try:
        with watching(tmp_path, catalogue=disk / "catalogue.db") as host:
            first, second = new_elf(tmp_path / "first"), new_elf(tmp_path / "second")
            assert host.found(tmp_path / "first", lambda: execute(first)) == {str(first): "new_path"}
            with pytest.raises(OSError, match="No space"):
                (disk / "fill").write_bytes(bytes(4 << 20))
            programs = [new_elf(tmp_path / f"many-{number}") for number in range(300)]  # more than the journal has left
            for program in (second, *programs):
                execute(program)
            until(lambda: host.value("exec_exporter_catalogue_errors_total") >= 2)
            assert host.value("exec_executions_total", path=str(second)) == 1
            assert host.said.decode().count("the catalogue ") == 1, host.said.decode()
            (disk / "fill").unlink()
            until(lambda: len(host.rows(tmp_path / "many-")) == 300)
            assert host.open(second) == {str(second): "new_path"}
            assert "works again" in host.said.decode()
    finally:
        unmount(disk)


def test_a_damaged_catalogue_is_set_aside_and_learning_restarts(tmp_path):
    program = new_elf(tmp_path / "program")
    with watching(tmp_path) as host:
        assert host.found(program, lambda: execute(program)) == {str(program): "new_path"}
    (tmp_path / "catalogue.db").write_bytes(b"damaged")
    with watching(tmp_path, learning="1h", state="lost") as host:
        for path in (program, new_elf(tmp_path / "another")):
            execute(path)
        until(lambda: host.value("exec_executions_total", path=str(tmp_path / "another")) == 1)
        assert host.open(tmp_path) == {}, "no alert for every binary"
        assert host.value("exec_exporter_catalogue_errors_total") == 1
    assert len(list(tmp_path.glob("catalogue.db.damaged-*"))) == 1
    with watching(tmp_path, learning="1ms") as host:
        assert host.found(tmp_path / "another", lambda: execute(tmp_path / "another")) == {}


def test_a_catalogue_that_is_damaged_or_taken_away_while_it_is_used(tmp_path):
    with watching(tmp_path, learning="1h", state="learning") as host:
        for name in ("catalogue.db", "catalogue.db-wal", "catalogue.db-shm"):
            (tmp_path / name).unlink()
        until(lambda: host.state() == "lost")
        program = new_elf(tmp_path / "program")
        execute(program)
        until(lambda: host.value("exec_executions_total", path=str(program)) == 1)
        assert host.value("exec_exporter_catalogue_errors_total") == 1
        assert (tmp_path / "catalogue.db").exists()


def test_a_place_that_cannot_be_written(tmp_path):
    """Executions are counted as always; the failure is logged once, and shown as the state of the baseline."""
    (tmp_path / "blocked").write_text("a file, where a directory would have to be")
    with watching(tmp_path, catalogue=tmp_path / "blocked/catalogue.db", state="lost") as host:
        program = new_elf(tmp_path / "program")
        execute(program, 3)
        until(lambda: host.value("exec_executions_total", path=str(program)) == 3)
        until(lambda: host.value("exec_exporter_catalogue_errors_total") >= 3)
        assert host.said.decode().count("the catalogue ") == 1
        assert host.open() == {}


def test_without_a_catalogue_novelty_is_off(tmp_path):
    with served("--catalogue.path=") as service:
        host = Host(service, None, tmp_path)
        assert host.state() == "off"
        reasons = {s.labels["reason"]: s.value for s in host.samples() if s.name == "exec_novel_binaries_total"}
        assert reasons == dict.fromkeys(Reason, 0)
