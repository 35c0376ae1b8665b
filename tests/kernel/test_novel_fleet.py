"""Hosts that share a baseline and what they accept."""

import json
import os
import shutil
import subprocess
import time
from datetime import UTC, datetime, timedelta

from tests.kernel.novel import new_elf, until, watching
from tests.kernel.programs import execute
from tests.kernel.tracing import MS_BIND, child, mount, own_mounts


def mounted(there, here, program):
    """Executes a program of `there` in a mount namespace in which it lies at `here`."""

    def action(_):
        own_mounts()
        mount(there, here, flags=MS_BIND)
        os.execve(here / program, ["x"], {})

    child(action)


def test_a_second_host_with_the_baseline_of_the_first(tmp_path):
    """Two catalogues are two hosts; the programs lie on two filesystems, at one path."""
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
        with watching(tmp_path, learning="1h", catalogue=tmp_path / "one.db", state="learning") as host:
            for name in (*programs, "changed"):
                mounted(hosts[0], here, name)
            until(lambda: {str(here / name) for name in (*programs, "changed")} <= host.programs())
        with watching(tmp_path, learning="1ms", catalogue=tmp_path / "one.db") as host:
            assert host.found(here, lambda: mounted(hosts[0], here, "novel")) == {str(here / "novel"): "new_path"}
            first = {one["path"]: one["id"] for one in json.loads(host.command("findings", "list", "--json"))}
            host.command("catalogue", "export", str(tmp_path / "baseline"))
        exported = (tmp_path / "baseline").read_text()
        assert str(here / "program-0") in exported
        assert str(here / "novel") not in exported, "what is open is no baseline"
        with watching(tmp_path, learning="1h", catalogue=tmp_path / "two.db", state="learning") as host:
            host.command("catalogue", "import", str(tmp_path / "baseline"))
            until(lambda: host.state() == "watching", 5)

            def day():
                for name in (*programs, "changed", "novel"):
                    mounted(hosts[1], here, name)

            assert host.found(here, day) == {
                str(here / "changed"): "content_changed",
                str(here / "novel"): "new_path",
            }
            second = {one["path"]: one["id"] for one in json.loads(host.command("findings", "list", "--json"))}
        assert first[str(here / "novel")] == second[str(here / "novel")]
    finally:
        subprocess.run(["umount", hosts[1]], check=True)


def test_a_file_of_accepted_findings(tmp_path):
    """It is in force within 5 s, and no longer than it says."""
    program, path = new_elf(tmp_path / "program"), tmp_path / "accepted.yml"
    path.write_text("accepted: []\n")
    with watching(tmp_path, f"--findings.accepted-file={path}") as host:
        assert host.found(program, lambda: execute(program)) == {str(program): "new_path"}
        assert host.open(program)
        ends = datetime.now(UTC) + timedelta(seconds=4)
        path.write_text(f"accepted:\n- path: {program}\n  reason: a test\n  expires: {ends.isoformat()}\n")
        until(lambda: not host.open(program), 5)
        listed = json.loads(host.command("findings", "list", "--all", "--json"))
        (ours,) = [one for one in listed if one["path"] == str(program)]
        assert (ours["status"], ours["accepted_by"]["from"]) == ("accepted", "file")
        until(lambda: host.open(program), 8)
        assert time.time() >= ends.timestamp()
        path.write_text("accepted: nonsense\n")
        until(lambda: "last good state" in host.said.decode(), 5)
        counted = host.value("exec_novel_binaries_total", reason="new_path")
        quiet = new_elf(tmp_path / "quiet")
        path.write_text(f"accepted: [{{path: {tmp_path}/*, reason: all of the test}}]\n")
        until(lambda: not host.open(program), 5)
        assert host.found(quiet, lambda: execute(quiet)) == {str(quiet): "new_path"}, "it is kept,"
        assert host.open(quiet) == {}, "and not shown"
        assert host.value("exec_novel_binaries_total", reason="new_path") == counted
