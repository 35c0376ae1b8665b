"""Owners of files, by the output of the command rpm."""

import os
import threading

import pytest

from exporter.host.interruption import Interrupted, Interruption
from exporter.host.packages import Owner
from exporter.host.rpm import Rpm

OUTPUT = (
    b"bash\t8\t" + b"ab" * 32 + b"\t/usr/bin/bash\n"
    b"bash\t8\t\t/usr/share/doc/bash\n"
    b"old\t(none)\t" + b"cd" * 16 + b"\t/usr/bin/o\tld\n"
)


def test_files_of_rpm_packages(tmp_path):
    directory = tmp_path / "var/lib/rpm"
    directory.mkdir(parents=True)
    (directory / "rpmdb.sqlite").touch()
    asked = []

    def query(where, _):
        asked.append(where)
        return OUTPUT

    database = Rpm(tmp_path, query)
    assert database.owner(b"/usr/bin/bash") == Owner("rpm", "bash", "sha256", bytes.fromhex("ab" * 16))
    assert database.owner(b"/usr/bin/o\tld") == Owner("rpm", "old", "md5", bytes.fromhex("cd" * 16))
    assert database.owner(b"/usr/share/doc/bash") is None
    assert database.owner(b"/usr/bin/bash").explain(bytes.fromhex("ab" * 32), None).vouched
    assert asked == [directory], "once, as long as nothing changes"
    os.utime(directory / "rpmdb.sqlite", (1, 1))
    database.owner(b"/usr/bin/bash")
    assert len(asked) == 2


def test_an_rpm_database_that_cannot_be_read_is_logged_once(tmp_path, caplog):
    directory = tmp_path / "usr/lib/sysimage/rpm"
    directory.mkdir(parents=True)
    (directory / "Packages").touch()

    def query(*_):
        raise FileNotFoundError("the command rpm is not installed")

    database = Rpm(tmp_path, query)
    assert [database.owner(b"/bin/x") for _ in range(3)] == [None] * 3
    assert len(caplog.records) == 1
    os.utime(directory / "Packages", (1, 1))
    assert database.owner(b"/bin/x") is None
    assert len(caplog.records) == 1, "it has changed, and cannot be read still"


def test_an_rpm_that_takes_long_is_ended_with_the_exporter(tmp_path, monkeypatch):
    (tmp_path / "var/lib/rpm").mkdir(parents=True)
    (tmp_path / "var/lib/rpm/rpmdb.sqlite").touch()
    os.mkfifo(tmp_path / "started")
    (tmp_path / "rpm").write_text(f"#!/bin/sh\necho $$ > {tmp_path}/started\nexec sleep 3600\n")
    (tmp_path / "rpm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    interruption, started = Interruption(), []

    def stop():
        started.append(int((tmp_path / "started").read_text()))
        interruption.set()

    stopping = threading.Thread(target=stop)
    stopping.start()
    with pytest.raises(Interrupted):
        Rpm(tmp_path, interruption=interruption).installed()
    stopping.join()
    with pytest.raises(ProcessLookupError):
        os.kill(started[0], 0)
