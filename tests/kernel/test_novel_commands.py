"""The commands `findings` and `catalogue` beside a running service."""

import json
import os
import subprocess

import pytest

from exporter.events.event_fields import FIELDS
from tests.kernel.command import COMMAND, refused
from tests.kernel.novel import new_elf, watching
from tests.kernel.programs import execute
from tests.waiting import until


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    with watching(tmp_path_factory.mktemp("commands"), "--record.argv-bytes=4096", "--record.env=names") as host:
        yield host


def ours(host, path):
    (found,) = [one for one in json.loads(host.command("findings", "list", "--all", "--json")) if one["path"] == path]
    return found


def test_show_prints_the_sixteen_fields(host, tmp_path):
    program = new_elf(tmp_path / "program")
    pid = os.posix_spawn(program, ["name", "an argument"], {"NAME": "value"})
    os.waitpid(pid, 0)
    host.catch_up()
    found = ours(host, str(program))
    assert found["status"] == "open"
    shown = json.loads(host.command("findings", "show", found["id"], "--json"))
    record = shown["introduction"]
    assert set(FIELDS) <= set(record)
    assert (record["pathname"], record["argv"], record["env"]) == (str(program), ["name", "an argument"], ["NAME"])
    assert (record["pid"], record["ppid"], record["inode"]) == (pid, os.getpid(), program.stat().st_ino)
    text = host.command("findings", "show", found["id"][:8])
    for name in FIELDS:
        assert f"  {name} " in text
    assert found["sha256"] in text
    assert "value" not in text.partition("the execution")[2].replace("values", "")


def test_accept_by_id_path_and_package_and_take_it_back(host, tmp_path):
    programs = [new_elf(tmp_path / f"program-{number}") for number in range(3)]
    for program in programs:
        execute(program)
    host.catch_up()
    assert len(host.open(tmp_path)) == 3
    first = ours(host, str(programs[0]))
    host.command("findings", "accept", first["id"], "--reason", "ours")
    until(lambda: len(host.open(tmp_path)) == 2)
    said = host.command("findings", "accept", "--path", f"{tmp_path}/*", "--reason", "all", "--expires", "2100-01-01")
    assert "2 open findings closed" in said
    until(lambda: not host.open(tmp_path))
    assert ours(host, str(programs[1]))["accepted_by"]["reason"] == "all"
    host.command("findings", "forget", "--path", f"{tmp_path}/*")
    until(lambda: len(host.open(tmp_path)) == 2)
    assert "ours" in host.command("findings", "acceptances")


def test_a_forgotten_finding_is_found_again(host, tmp_path):
    program = new_elf(tmp_path / "program")
    execute(program)
    host.catch_up()
    host.command("findings", "forget", ours(host, str(program))["id"])
    until(lambda: not host.open(program))
    until(lambda: execute(program) or host.open(program) == {str(program): "new_path"})


def test_hostile_names_reach_no_terminal(host, tmp_path):
    name = os.fsencode(tmp_path) + b"/\x1b]0;x\x07\x1b[31m\n\xff"
    new_elf(name)
    execute(name)
    host.catch_up()
    (path,) = host.open(tmp_path)
    host.command("findings", "accept", "--path", path, "--reason", "\x1b[31mred\nline")
    identifier = ours(host, path)["id"]
    for arguments in (["list", "--all"], ["show", identifier], ["acceptances"], ["show", identifier, "--json"]):
        said = host.command("findings", *arguments)
        assert "\x1b" not in said
        assert "\x07" not in said
    assert "\\x1b]0;x" in host.command("findings", "list", "--all")


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["findings"], 2, "required"),
        (["findings", "show", "xyz"], 2, "not a finding's id"),
        (["findings", "show", "00000000"], 1, "there is no finding 00000000"),
        (["findings", "accept", "--reason", "r"], 2, "nothing to accept"),
        (["findings", "accept", "--path", "relative", "--reason", "r"], 2, "must start with /"),
        (["findings", "accept", "--path", "/x", "--reason", "r", "--expires", "soon"], 2, "neither a date"),
        (["findings", "accept", "--path", "/x", "--reason", "r", "--expires", "2001-01-01"], 2, "is in the past"),
        (["findings", "accept", "--path", "/x"], 2, "--reason"),
        (["findings", "forget"], 2, "nothing to forget"),
        (["findings", "forget", "--path", "/never"], 1, "there is no acceptance path /never"),
        (["catalogue", "import", "/dev/null"], 2, "line 1: the trailer is missing"),
        (["catalogue", "import", "/nowhere"], 1, "No such file"),
    ],
)
def test_invalid_usage_is_one_line(host, arguments, status, said):
    line = host.command(*arguments, status=status) if len(arguments) > 1 else refused(*arguments)[1]
    assert said in line
    assert len(line.splitlines()) == 1


def test_no_catalogue_is_one_line(tmp_path):
    status, said = refused("findings", "list", f"--catalogue.path={tmp_path}/none.db")
    assert (status, len(said.splitlines())) == (1, 1)
    assert "there is no catalogue" in said
    (tmp_path / "none.db").write_text("x" * 2000)
    status, said = refused("findings", "list", f"--catalogue.path={tmp_path}/none.db")
    assert (status, len(said.splitlines())) == (1, 1)
    assert "is not a catalogue" in said


def test_a_pipe_that_closes_early_is_no_error(host):
    command = f"{COMMAND[0]} findings list --all --catalogue.path={host.catalogue} | head -n 1"
    result = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False)
    assert result.stderr == ""
