"""The whole command: real executions in, an exposition out that Prometheus' own linter accepts."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics

from exporter.escape import unescape
from tests.kernel.bpf_objects import bpf_objects, gone
from tests.kernel.command import COMMAND, Served, served
from tests.kernel.programs import execute, script, static_elf
from tests.scraped import Scraped
from tests.waiting import until

pytestmark = pytest.mark.native

PROMTOOL = Path(__file__).parents[2] / ".cache/promtool"
HOSTILE = [
    b"invalid-\xff\xfe-utf8",
    b"invalid-\xff\xfd-utf8",
    b"new\nline",
    b"new\\nline",
    b'quo"te',
    b"back\\slash",
    b"back\\\\slash",
    b"esc-\x1b[31mred",
    b"esc-\x1b[32mred",
    "rtl-‮gpj.exe".encode(),
    "rtl-‭gpj.exe".encode(),
    b"\\x0a",
    b"\n",
    b'a"} 1\nforged_metric{x="',
    b"{}=,# HELP",
]


def samples(exposition):
    return Scraped(exposition.decode("utf-8")).all


def executions(exposition, below):
    """Return counts by name below a directory, both as bytes."""
    found = [
        (unescape(sample.labels["path"]), sample.value)
        for sample in samples(exposition)
        if sample.name == "exec_executions_total"
    ]
    prefix = os.fsencode(below) + b"/"
    return {path.removeprefix(prefix): count for path, count in found if path.startswith(prefix)}


@pytest.fixture(scope="module")
def exporter():
    with served() as exporter:
        yield exporter


def promtool_output(exposition):
    result = subprocess.run([PROMTOOL, "check", "metrics"], input=exposition, capture_output=True, check=False)
    return result.returncode, result.stdout + result.stderr


def test_promtool_finds_nothing_wrong(exporter, tmp_path):
    execute(static_elf(tmp_path / "static"))
    assert promtool_output(exporter.get()) == (0, b"")


def test_promtool_would_find_something():
    status, said = promtool_output(b"wrong_total{ 1\n")
    assert status != 0
    assert said


def test_hostile_names_are_distinct_series_from_which_the_name_comes_back(exporter, tmp_path):
    for times, name in enumerate(HOSTILE, 1):
        path = os.fsencode(tmp_path) + b"/" + name
        execute(static_elf(path, salt=name), times)
    exposition = exporter.get()
    assert executions(exposition, tmp_path) == {name: times for times, name in enumerate(HOSTILE, 1)}
    assert promtool_output(exposition) == (0, b"")
    assert not [sample for sample in samples(exposition) if sample.name.startswith("forged")]
    assert b"\x1b" not in exposition


def test_a_hostile_name_of_an_interpreter(exporter, tmp_path):
    interpreter = os.fsencode(tmp_path) + b'/\xff"interp\x1b'
    static_elf(interpreter)
    path = tmp_path / "script"
    path.write_bytes(b"#!" + interpreter + b"\n")
    path.chmod(0o755)
    execute(path, 3)
    exposition = exporter.get()
    found = {
        unescape(sample.labels["interpreter"]): sample.value
        for sample in samples(exposition)
        if sample.name == "exec_executions_total" and sample.labels["path"] == str(path)
    }
    assert found == {interpreter: 3}
    assert promtool_output(exposition) == (0, b"")


def test_names_are_taken_in_between_scrapes(tmp_path):
    programs = [static_elf(tmp_path / f"elf-{number}", salt=bytes([number])) for number in range(200)]
    with served("--bpf.ring-buffer-pages=4") as exporter:
        for program in programs:
            execute(program, 3)
        found = executions(exporter.get(), tmp_path)
    assert sum(found.values()) >= 0.9 * 600, "the ring buffer is only emptied by scrapes"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_cleanly_and_detaches(number):
    before = bpf_objects()
    with served() as exporter:
        assert bpf_objects() - before
        exporter.process.send_signal(number)
        assert exporter.process.wait(30) == 0
        exporter.process.send_signal = lambda _: None
    assert gone(before) == set()


def test_other_path_and_address(tmp_path):
    program = script(tmp_path / "script")
    with served("--web.telemetry-path=/here") as exporter:
        execute(program, 5)
        assert executions(exporter.get("/here"), tmp_path) == {b"script": 5}
        assert b'href="./here"' in exporter.get("/")


def test_a_scrape_shows_what_it_asks_for_and_since_when(tmp_path):
    program = script(tmp_path / "script")
    with served("--no-collector.forks") as exporter:
        begun = time.time()
        execute(program, 5)
        executed = time.time()
        own = samples(exporter.get("/metrics?collect[]=executions&name[]=exec_executions_total"))
        assert {sample.name for sample in own} == {"exec_executions_total"}
        failures = {sample.name for sample in samples(exporter.get("/metrics?collect[]=failures"))}
        assert {name for name in failures if name.startswith("exec_") and "exporter" not in name} == {
            "exec_failures_total"
        }
        with pytest.raises(urllib.error.HTTPError, match="400"):
            exporter.get("/metrics?collect[]=forks")
        request = urllib.request.Request(f"{exporter.url}/metrics", headers={"Accept": "application/openmetrics-text"})
        with urllib.request.urlopen(request, timeout=120) as answer:
            families = openmetrics(answer.read().decode())
        created = [
            sample.value
            for family in families
            for sample in family.samples
            if sample.name == "exec_executions_created" and sample.labels["path"] == str(program)
        ]
        assert len(created) == 1
        assert begun - 0.1 < created[0] < executed + 0.1
        # None of these scrapes has disturbed what is counted.
        assert executions(exporter.get(), tmp_path) == {b"script": 5}


def test_it_exposes_its_own_process():
    with served() as exporter:
        process = psutil.Process(exporter.process.pid)
        before = process.cpu_times()
        own = {sample.name: sample.value for sample in samples(exporter.get()) if sample.name.startswith("process_")}
        after = process.cpu_times()
        assert abs(own["process_start_time_seconds"] - process.create_time()) < 1
        assert own["process_max_fds"] == process.rlimit(psutil.RLIMIT_NOFILE)[0]
        assert (
            before.user + before.system - 0.02 <= own["process_cpu_seconds_total"] <= after.user + after.system + 0.02
        )
        assert own["process_open_fds"] >= process.num_fds() - 2 > 0
        assert own["process_resident_memory_bytes"] > 10 << 20
        assert own["process_virtual_memory_bytes"] >= own["process_resident_memory_bytes"]


def test_check_reports_the_probe():
    result = subprocess.run([*COMMAND, "--check"], capture_output=True, text=True, timeout=240, check=False)
    assert result.returncode == 0, result.stderr
    assert "compiled, loaded as " in result.stdout
    assert result.stderr == ""


def test_without_standard_streams_it_serves_and_writes_into_no_file_of_its_own(tmp_path):
    program, catalogue = static_elf(tmp_path / "static"), tmp_path / "catalogue.db"
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = "{}:{}".format(*free.getsockname())
    arguments = [f"--web.listen-address={address}", "--bpf.pin-path=", f"--catalogue.path={catalogue}"]
    closed = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"]
    with subprocess.Popen([*closed, *COMMAND, "--log.level=debug", *arguments]) as process:
        try:
            exporter = Served(process, address.rpartition(":")[2], "")
            until(lambda: exporter.get("/-/ready"), not_yet=OSError)
            execute(program, 5)
            assert executions(exporter.get(), tmp_path) == {b"static": 5}
        finally:
            process.terminate()
    assert process.returncode == 0
    with sqlite3.connect(catalogue) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def test_metrics_that_nobody_reads_are_no_error():
    reading, writing = os.pipe()
    os.close(reading)
    once = [*COMMAND, "--once", "--log.level=warn"]
    result = subprocess.run(once, stdout=writing, stderr=subprocess.PIPE, timeout=240, check=False)
    os.close(writing)
    assert (result.returncode, result.stderr) == (0, b"")


def test_python_m_exporter_is_the_same_command():
    command = [Path(COMMAND[0]).parent / "python", "-m", "exporter", "--version"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True)
    assert result.stdout.startswith("exec_exporter ")


@pytest.mark.parametrize("seconds", [864_000, -8])
def test_in_a_time_namespace_of_its_own(tmp_path, seconds):
    """Its clock of the time since boot, and start times in /proc, are not those that the kernel stamps with."""
    namespace = ["unshare", "--time", "--boottime", str(seconds)]
    program, begun = static_elf(tmp_path / "static"), time.time()
    with served(command=[*namespace, *COMMAND]) as service:
        assert Path(f"/proc/{service.process.pid}/ns/time").readlink() != Path("/proc/self/ns/time").readlink()
        execute(program)
        seen = [
            sample.value
            for sample in samples(service.get())
            if sample.name == "exec_trait_last_seen_timestamp_seconds" and sample.labels["path"] == str(program)
        ]
    assert len(seen) == 1  # it is fresh
    assert begun - 1 < seen[0] < time.time() + 1


def test_a_process_is_told_from_others_in_a_time_namespace():
    with subprocess.Popen(["sleep", "60"]) as process:
        started = int(Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[19])
        program = (
            "from exporter.host.procfs import Process, TICK_NS, directory\n"
            f"for started in ({started}, {started + 1}):\n"
            f"    with directory(Process({process.pid}, started * TICK_NS)) as found: print(found is not None)"
        )
        found = subprocess.run(
            ["unshare", "--time", "--boottime", "864000", sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
        )
        process.kill()
    assert found.stdout.split() == ["True", "False"]
