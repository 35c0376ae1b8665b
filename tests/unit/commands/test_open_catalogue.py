"""Commands on catalogues that are stopped, running or copied, where they may be written and where not."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from exporter.catalogue.catalogue import FOUND, Catalogue
from exporter.catalogue.finding import Finding, Reason
from tests import readable

FINDING = Finding(Reason.NEW_PATH, "/opt/found", "", b"a" * 32, 951_782_400.0, 951_782_401.0)
NOBODY = 65534
ROOT = os.geteuid() == 0  # as root everything can be written: commands then run as nobody
COMMAND = readable.command() if ROOT else [sys.executable, "-m", "exporter"]


@pytest.fixture
def directory():
    with tempfile.TemporaryDirectory(prefix="exec_exporter-") as name:
        made = Path(name)
        made.chmod(0o755)
        yield made
        made.chmod(0o755)


@pytest.fixture
def running(directory):
    """A catalogue that another process has open, with a finding in the write-ahead log alone."""
    (directory / "running").mkdir()
    with closing(Catalogue(directory / "running/catalogue.db", create=True)) as catalogue:
        with catalogue.transaction():
            catalogue.remember(FINDING.path, FINDING.content, FOUND, 1.0)
            catalogue.add_finding(FINDING, "{}")
        yield catalogue.path


def placed(running, state):
    if state == "running":
        return running
    path = running.parents[1] / state / running.name
    path.parent.mkdir()
    if state == "stopped":
        shutil.copytree(running.parent, path.parent, dirs_exist_ok=True)
        Catalogue(path, create=False).close()
    else:
        for suffix in ("", "-wal"):
            shutil.copy(f"{running}{suffix}", f"{path}{suffix}")
    return path


def run(*arguments, path):
    user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if ROOT else {}
    command = [*COMMAND, *arguments, f"--catalogue.path={path}"]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd="/", **user)


def allow(path, mode, of_files=0o600, owner=NOBODY):
    for file in path.parent.iterdir():
        file.chmod(of_files)
    path.parent.chmod(mode)
    for name in (path.parent, *path.parent.iterdir()):
        if ROOT:
            os.chown(name, owner, owner)


@pytest.mark.parametrize("mode", [0o755, 0o555])
@pytest.mark.parametrize("state", ["running", "stopped", "left behind"])
def test_findings_are_listed_and_the_baseline_exported(running, state, mode):
    path = placed(running, state)
    allow(path, mode)
    files = sorted(path.parent.iterdir())
    result = run("findings", "list", "--json", path=path)
    assert (result.returncode, result.stderr) == (0, "")
    assert [finding["path"] for finding in json.loads(result.stdout)] == ["/opt/found"]
    result = run("catalogue", "export", path=path)
    assert (result.returncode, result.stderr) == (0, "0 programs exported, 1 left out; this host is still learning\n")
    if mode == 0o555:
        assert sorted(path.parent.iterdir()) == files


def test_a_catalogue_of_another_user_that_may_be_read_is_read(running):
    path = placed(running, "left behind")
    allow(path, 0o755 if ROOT else 0o555, 0o644, owner=0)
    assert "/opt/found" in run("findings", "list", path=path).stdout


@pytest.mark.parametrize("state", ["running", "stopped"])
def test_what_cannot_be_written_or_read_is_one_line(running, state):
    path = placed(running, state)
    allow(path, 0o555, 0o444)
    result = run("findings", "accept", "--path=/x", "--reason=x", path=path)
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert f"exec_exporter: cannot open the catalogue {path} (it cannot be written): run this as" in result.stderr
    allow(path, 0o555, 0o000)
    result = run("findings", "list", path=path)
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert f"cannot open the catalogue {path} (Permission denied): run this as" in result.stderr


def test_a_catalogue_beside_which_nothing_can_be_written_is_copied_to_be_read(running):
    """As on a full disk."""
    path = placed(running, "left behind")
    Path(f"{path}-shm").mkdir()
    allow(path, 0o755, 0o700)
    result = run("findings", "list", path=path)
    assert (result.returncode, "/opt/found" in result.stdout) == (0, True)


@pytest.mark.parametrize("path", ["/dev/null", "/dev/zero", "/proc"])
def test_what_is_no_file_is_no_catalogue(path):
    for command in (["findings", "list"], ["findings", "accept", "--path=/x", "--reason=x"]):
        result = run(*command, path=path)
        assert (result.returncode, result.stderr.count("\n")) == (1, 1)
        assert f"cannot open the catalogue {path} (it is not a file)" in result.stderr
