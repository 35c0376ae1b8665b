"""The unit of this repository, installed by `make install`, under a real systemd."""

import hashlib
import json
import os
import re
import subprocess
import textwrap
import urllib.request
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.e2e.box import REPOSITORY, UNIT, box, missing
from tests.e2e.processes import CAP_BPF, CAP_PERFMON, CAP_READING, capabilities, may_do_nothing, threads
from tests.kernel.novel import new_elf
from tests.kernel.programs import execute, static_elf
from tests.waiting import until

MOST_EXPOSED = 2.0  # exclusive

if missing():
    pytest.skip(missing(), allow_module_level=True)


@pytest.fixture(scope="module")
def service(probes, tmp_path_factory):
    options = "--web.listen-address=127.0.0.1:0", "--learning.duration=0s"
    with box(tmp_path_factory.mktemp("box"), *options) as started:
        yield started


def url(service):
    return re.findall(r"serving (http://\S+)/metrics", service.log())[-1]


def get(service, path="/metrics"):
    with urllib.request.urlopen(url(service) + path, timeout=120) as answer:
        return answer.read().decode()


def shown(service, *properties):
    _, said = service.run("systemctl", "show", UNIT, *(f"--property={name}" for name in properties))
    return dict(line.split("=", 1) for line in said.splitlines())


def test_the_unit_is_not_exposed():
    file = REPOSITORY / "exporter/systemd" / UNIT
    said = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", file], capture_output=True, text=True, check=True
    ).stdout
    assert float(re.search(r"exposure level for \S+: ([0-9.]+)", said)[1]) < MOST_EXPOSED


def test_systemd_finds_nothing_wrong_with_it(service):
    assert service.run("systemd-analyze", "verify", UNIT) == (0, "")


def test_it_is_ready_once_the_probe_counts(service, tmp_path):
    assert shown(service, "ActiveState", "SubState", "Type") == {
        "ActiveState": "active",
        "SubState": "running",
        "Type": "notify",
    }
    program = static_elf(tmp_path / "static")
    execute(program, 7)
    assert f'exec_executions_total{{interpreter="",path="{program}",stdin_type="null"}} 7.0' in get(service)
    assert get(service, "/-/ready") == "OK\n"


def test_it_is_a_user_of_its_own_that_may_do_nothing(service):
    status, uid = service.run("id", "--user", "exec_exporter")
    assert status == 0
    assert int(uid) != 0
    for thread in threads(service.pid):
        assert thread["Uid"].split() == [uid.strip()] * 4
        assert thread["Seccomp"].strip() == "2"
    assert may_do_nothing(service.pid)
    assert capabilities(service.pid)["CapBnd"] == CAP_PERFMON | CAP_BPF


def test_it_can_write_to_its_state_and_nowhere_else(service):
    root = Path(f"/proc/{service.pid}/root")
    mode = (root / "var/lib/exec_exporter").stat()
    assert (oct(mode.st_mode & 0o777), mode.st_uid) == ("0o750", int(service.run("id", "--user", "exec_exporter")[1]))
    writable = {"/var/lib/exec_exporter", "/run/exec_exporter", "/run/exec_exporter_pins"}
    for directory in (*writable, "/etc", "/usr", "/var/lib", "/tmp", "/home", "/opt", "/proc/sys", "/sys"):
        read_only = bool(os.statvfs(root / directory.lstrip("/")).f_flag & os.ST_RDONLY)
        assert read_only == (directory not in writable), directory


def test_its_configuration_is_its_own_and_roots(service):
    status, said = service.run("stat", "--format=%a %U %G", "/etc/exec_exporter")
    assert (status, said) == (0, "750 root exec_exporter\n")


def test_a_restart_misses_nothing(service, tmp_path):
    program = static_elf(tmp_path / "static", salt=b"restart")
    execute(program, 7)
    before = url(service)
    assert service.run("systemctl", "stop", UNIT) == (0, "")
    execute(program, 4)
    assert service.run("systemctl", "start", UNIT) == (0, "")
    assert url(service) != before
    assert "exec_exporter_pinned 1.0" in get(service)
    assert f'exec_executions_total{{interpreter="",path="{program}",stdin_type="null"}} 11.0' in get(service)


@pytest.fixture
def directory():
    """Yield a directory that everybody may read."""
    with TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        yield Path(made)


def executed(directory):
    """Execute two new programs, one of which only root may read; return their SHA-256 by path."""
    everybodys, roots = (new_elf(directory / name) for name in ("everybodys", "roots"))
    roots.chmod(0o700)
    for program in (everybodys, roots):
        execute(program)
    return {str(program): hashlib.sha256(program.read_bytes()).hexdigest() for program in (everybodys, roots)}


def contents(service, programs):
    """Return the SHA-256 in the finding of each program, once there are findings of all."""

    def found():
        status, said = service.run("exec_exporter", "findings", "list", "--json")
        assert status == 0, said
        digests = {one["path"]: one["sha256"] for one in json.loads(said) if one["path"] in programs}
        return digests if digests.keys() == programs.keys() else None

    return until(found, what="all programs are found")


def test_it_finds_novel_programs_and_reads_those_that_everybody_may_read(service, directory):
    programs = executed(directory)
    (everybodys, digest), (roots, _) = programs.items()
    assert contents(service, programs) == {everybodys: digest, roots: None}


def test_with_the_drop_in_of_the_documentation_it_reads_all_of_them(service, directory):
    (drop_in,) = re.findall(
        r"^(    \[Service\]\n(?:    .+\n)+)", (REPOSITORY / "docs/novelty.md").read_text(), re.MULTILINE
    )
    write = f"mkdir -p /etc/systemd/system/{UNIT}.d && printf '%s' \"$1\" > /etc/systemd/system/{UNIT}.d/override.conf"
    assert service.run("sh", "-c", write, "sh", textwrap.dedent(drop_in)) == (0, "")
    assert service.run("systemctl", "daemon-reload") == (0, "")
    assert service.run("systemctl", "restart", UNIT) == (0, "")
    kept = {name: held for name, held in capabilities(service.pid).items() if name in ("CapPrm", "CapEff", "CapAmb")}
    assert kept == {"CapPrm": CAP_READING, "CapEff": CAP_READING, "CapAmb": 0}
    programs = executed(directory)
    assert contents(service, programs) == programs


def test_wrong_usage_is_not_tried_again_and_a_stop_is_clean(service):
    assert service.run("systemctl", "stop", UNIT) == (0, "")
    assert shown(service, "Result", "ExecMainStatus") == {"Result": "success", "ExecMainStatus": "0"}
    assert service.pid is None
    assert service.run("sh", "-c", "echo ARGS=--no-such-flag > /etc/default/exec_exporter")[0] == 0
    assert service.run("systemctl", "start", UNIT)[0] != 0
    until(lambda: shown(service, "ActiveState")["ActiveState"] == "failed", what="the unit has failed")
    assert shown(service, "ExecMainStatus", "NRestarts") == {"ExecMainStatus": "2", "NRestarts": "0"}
    assert "unrecognized arguments: --no-such-flag" in service.log().splitlines()[-1]
