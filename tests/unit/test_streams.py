"""Every command with standard streams that are closed, full, unread, non-blocking or in another encoding."""

import os
import select
import sqlite3
import subprocess
import sys

import pytest

from exporter.catalogue.catalogue import FOUND, Catalogue
from exporter.catalogue.finding import Finding, Reason
from exporter.escape import escape, unescape
from tests.waiting import until

COMMAND = [sys.executable, "-m", "exporter"]
NAME = "/opt/取引-müller".encode() + b"\xff"
DIGEST = b"a" * 32
CLOSED = [(0,), (1,), (2,), (0, 1, 2)]


@pytest.fixture
def arguments(tmp_path):
    """Return the arguments of a command for a catalogue with one finding."""
    path = tmp_path / "catalogue.db"
    finding = Finding(Reason.NEW_PATH, escape(NAME), "", DIGEST, 951_782_400.0, 951_782_401.0)
    catalogue = Catalogue(path, create=True)
    with catalogue.transaction():
        catalogue.remember(finding.path, finding.content, FOUND, 1.0)
        catalogue.add_finding(finding, "{}")
    catalogue.close()
    of_catalogue = {
        "list": ["findings", "list"],
        "accept": ["findings", "accept", finding.id, "--reason=取引"],
        "accept path": ["findings", "accept", "--path", os.fsdecode(NAME[:-1] + b"*"), "--reason=x"],
        "export": ["catalogue", "export"],
    }
    others = {
        "help": ["--help"],
        "config.check": ["--config.check"],
        "unpin": ["unpin", f"--bpf.pin-path={tmp_path}/none"],
    }
    return {**{name: [*one, f"--catalogue.path={path}"] for name, one in of_catalogue.items()}, **others}


NAMES = ("list", "export", "help", "config.check", "unpin")


def run(arguments, closed=(), **options):
    redirections = " ".join(f"{number}>&-" for number in closed)
    command = ["sh", "-c", f'exec "$@" {redirections}', "sh", *COMMAND, *arguments]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.run(command, check=False, **options)


@pytest.mark.parametrize("name", NAMES)
def test_closed_streams_change_nothing_but_what_they_would_print(arguments, name):
    expected = run(arguments[name])
    assert expected.returncode == 0, expected.stderr
    result = run(arguments[name], (0, 2))
    assert (result.returncode, result.stdout, result.stderr) == (0, expected.stdout, b"")
    result = run(arguments[name], (1,))
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", expected.stderr)


@pytest.mark.parametrize("closed", CLOSED)
def test_nothing_printed_gets_into_a_file_that_was_opened_instead(arguments, closed, tmp_path):
    assert run(arguments["accept"], closed).returncode == 0
    with sqlite3.connect(tmp_path / "catalogue.db") as catalogue:
        assert catalogue.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert catalogue.execute("SELECT count(*) FROM acceptances").fetchone() == (1,)
    catalogue.close()


def test_a_baseline_from_a_closed_standard_input_is_incomplete(arguments, tmp_path):
    result = run(["catalogue", "import", f"--catalogue.path={tmp_path}/other.db"], (0,))
    assert (result.returncode, result.stderr.count(b"\n")) == (2, 1)
    assert b"the file is incomplete" in result.stderr


@pytest.mark.parametrize("name", NAMES)
def test_a_full_disk_is_one_line(arguments, name):
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        result = run(arguments[name], stdout=full)
    line = b"exec_exporter: cannot write to standard output (No space left on device): write elsewhere\n"
    assert (result.returncode, result.stderr.splitlines(keepends=True)[-1]) == (1, line)
    assert b"Traceback" not in result.stderr


@pytest.mark.parametrize("name", NAMES)
def test_a_reader_that_is_gone_ends_the_command_quietly(arguments, name):
    expected = run(arguments[name]).stderr
    reading, writing = os.pipe()
    os.close(reading)
    try:
        result = run(arguments[name], stdout=writing)
    finally:
        os.close(writing)
    assert (result.returncode, result.stderr) == (0, expected)


def test_what_cannot_be_reported_does_not_change_the_status(arguments, tmp_path):
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        assert run(["--no-such-flag"], stderr=full).returncode == 2
        assert run(arguments["export"], stderr=full).returncode == 0
        assert run(["findings", "list", f"--catalogue.path={tmp_path}/none"], stderr=full).returncode == 1


def test_a_terminal_that_is_gone_is_one_line(arguments):
    master, terminal = os.openpty()
    os.close(master)
    try:
        result = run(arguments["list"], stdin=terminal, stdout=terminal)
    finally:
        os.close(terminal)
    assert result.returncode == 1
    assert result.stderr == b"exec_exporter: cannot write to standard output (Input/output error): write elsewhere\n"


def test_a_non_blocking_pipe_gets_everything(arguments, tmp_path):
    with sqlite3.connect(tmp_path / "catalogue.db") as catalogue:
        for number in range(2000):
            row = f"{number:016x}", "new_path", f"/{number:0100}"
            values = "?, ?, ?, '', zeroblob(32), 1, 1, 1, '', '', '', '{}', ''"
            catalogue.execute(f"INSERT INTO findings VALUES ({values})", row)
    catalogue.close()
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with subprocess.Popen([*COMMAND, *arguments["list"]], stdout=writing, stderr=subprocess.PIPE) as process:
        until(lambda: process.poll() is not None or not select.select([], [writing], [], 0)[1])
        os.close(writing)
        with open(reading, "rb") as pipe:  # noqa: PTH123
            printed = pipe.read()
        assert (process.wait(), process.stderr.read()) == (0, b"")
    assert printed.count(b"\n") == 2002


ENVIRONMENTS = {
    "C": {"LC_ALL": "C"},
    "POSIX, without Python's help": {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "Latin-1": {"PYTHONIOENCODING": "iso-8859-1"},
    "ASCII, strictly": {"PYTHONIOENCODING": "ascii:strict"},
}


@pytest.mark.parametrize("environment", ENVIRONMENTS.values(), ids=list(ENVIRONMENTS))
@pytest.mark.parametrize("name", ["list", "accept path"])
def test_names_that_cannot_be_shown_are_escaped(arguments, name, environment):
    before = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "LC_", "LANG"))}
    result = run(arguments[name], env={**before, **environment})
    assert (result.returncode, result.stderr) == (0, b"")
    encoding = environment.get("PYTHONIOENCODING", "utf-8").partition(":")[0]
    if name == "list":
        assert unescape(result.stdout.decode(encoding).split()[-1]) == NAME
    if name == "accept path":
        assert b"1 open finding closed" in result.stdout
