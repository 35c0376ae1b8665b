"""Hosts that share a baseline and accepted findings."""

import json
import shutil
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from tests.kernel.novel import new_elf, unmount, watching, within
from tests.kernel.programs import execute
from tests.kernel.tracing import MS_BIND, mount
from tests.waiting import until


@contextmanager
def mounted(there, here):
    """Make the files of one host appear at the paths of the other."""
    mount(there, here, flags=MS_BIND)
    try:
        yield
    finally:
        unmount(here)


def test_a_second_host_with_the_baseline_of_the_first(tmp_path):
    """Two catalogues stand for two hosts; the programs are on two filesystems, at one path."""
    here = tmp_path / "here"
    hosts = [tmp_path / name for name in ("one", "two")]
    for directory in (here, *hosts):
        directory.mkdir()
    mount("none", hosts[1], "tmpfs")
    try:
        programs = [f"program-{number}" for number in range(20)]
        for name in (*programs, "changed", "novel"):
            new_elf(hosts[0] / name)
            shutil.copy(hosts[0] / name, hosts[1] / name)
        new_elf(hosts[1] / "changed")
        one, two = tmp_path / "one.db", tmp_path / "two.db"
        with mounted(hosts[0], here):
            with watching(tmp_path, learning="1h", catalogue=one, state="learning") as host:
                for name in (*programs, "changed"):
                    execute(here / name)
                until(lambda: {str(here / name) for name in (*programs, "changed")} <= host.programs())
            with watching(tmp_path, learning="1ms", catalogue=one) as host:
                assert host.found(here, lambda: execute(here / "novel")) == {str(here / "novel"): "new_path"}
                first = {one["path"]: one["id"] for one in json.loads(host.command("findings", "list", "--json"))}
                host.command("catalogue", "export", str(tmp_path / "baseline"))
        exported = (tmp_path / "baseline").read_text()
        assert str(here / "program-0") in exported
        assert str(here / "novel") not in exported, "open findings are not part of the baseline"
        with (
            mounted(hosts[1], here),
            watching(tmp_path, learning="1h", catalogue=two, state="learning") as host,
        ):
            host.command("catalogue", "import", str(tmp_path / "baseline"))
            until(lambda: host.state() == "watching")

            def day():
                for name in (*programs, "changed", "novel"):
                    execute(here / name)

            assert host.found(here, day) == {str(here / "changed"): "content_changed", str(here / "novel"): "new_path"}
            second = {one["path"]: one["id"] for one in json.loads(host.command("findings", "list", "--json"))}
        assert first[str(here / "novel")] == second[str(here / "novel")]
    finally:
        unmount(hosts[1])


def test_a_file_of_accepted_findings(tmp_path):
    """Entries apply within 5 s, and end when they expire."""
    program, path = new_elf(tmp_path / "program"), tmp_path / "accepted.yml"
    path.write_text("accepted: []\n")
    with watching(tmp_path, f"--findings.accepted-file={path}") as host:
        assert host.found(program, lambda: execute(program)) == {str(program): "new_path"}
        assert host.open(program)
        accepting = f"accepted:\n- path: {program}\n  reason: a test\n"

        def accept():
            path.write_text("accepted: []\n")
            until(lambda: host.open(program))
            path.write_text(accepting)
            return lambda: not host.open(program)

        assert within(5, accept)
        listed = json.loads(host.command("findings", "list", "--all", "--json"))
        (ours,) = [one for one in listed if one["path"] == str(program)]
        assert (ours["status"], ours["accepted_by"]["from"]) == ("accepted", "file")
        ends = datetime.now(UTC) + timedelta(seconds=6)
        path.write_text(f"{accepting}  expires: {ends.isoformat()}\n")
        until(lambda: host.open(program))
        assert time.time() >= ends.timestamp()
        path.write_text("accepted: nonsense\n")
        until(lambda: "last good version" in host.said.decode())
        quiet = new_elf(tmp_path / "quiet")
        path.write_text(f"accepted: [{{path: {tmp_path}/*, reason: all of the test}}]\n")
        until(lambda: not host.open(program))
        assert host.found(quiet, lambda: execute(quiet)) == {str(quiet): "new_path"}, "it is kept,"
        assert host.open(quiet) == {}, "and not shown"
        assert str(quiet) not in host.said.decode()
