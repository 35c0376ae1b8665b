"""The service as it is run: its user, its privileges, its log, and its end."""

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import psutil
import pytest

from exporter.host import libc
from tests import readable
from tests.e2e.processes import CAP_BPF, CAP_PERFMON, capabilities, may_do_nothing, threads
from tests.kernel.command import COMMAND, DEADLINE_SECONDS, KEEPING_NOTHING, refused, served
from tests.kernel.programs import execute, static_elf
from tests.waiting import until

NOBODY = 65534
NOBODY_WITH = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]

pytestmark = pytest.mark.usefixtures("probes")


def counts(exporter, program):
    execute(program, 5)
    return f'path="{program}",stdin_type="null"}} 5.0\n'.encode() in exporter.get()


def test_as_root_no_thread_keeps_a_capability(tmp_path):
    with served() as exporter:
        assert counts(exporter, static_elf(tmp_path / "static"))
        assert len(threads(exporter.process.pid)) > 2
        assert may_do_nothing(exporter.process.pid)
        assert capabilities(exporter.process.pid)["CapBnd"] == 0


def test_as_nobody_with_two_ambient_capabilities(tmp_path):
    two = "-all,+bpf,+perfmon"
    given = [f"--inh-caps={two}", f"--ambient-caps={two}", f"--bounding-set={two}"]
    with served(command=[*NOBODY_WITH, *given, *readable.command()]) as exporter:
        assert counts(exporter, static_elf(tmp_path / "static"))
        assert {thread["Uid"].split()[0] for thread in threads(exporter.process.pid)} == {str(NOBODY)}
        assert may_do_nothing(exporter.process.pid)
        assert capabilities(exporter.process.pid)["CapBnd"] == CAP_BPF | CAP_PERFMON


def test_as_nobody_with_capabilities_of_the_interpreters_file(tmp_path):
    """As in a container, where users get no ambient capabilities."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        python = Path(directory, "exporter-python")
        shutil.copyfile(readable.PYTHON, python)
        python.chmod(0o755)
        subprocess.run(["setcap", "cap_bpf,cap_perfmon+ep", python], check=True)
        with served(command=[*NOBODY_WITH, *readable.command(python)]) as exporter:
            assert counts(exporter, static_elf(tmp_path / "static"))
            assert may_do_nothing(exporter.process.pid)


@contextlib.contextmanager
def started(*arguments, **options):
    """Run the command, with its standard error in a file until the end of the block."""
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen([*COMMAND, *KEEPING_NOTHING, *arguments], stderr=said, **options)
        try:
            yield process, lambda: os.pread(said.fileno(), 1 << 20, 0).decode()
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()


def test_one_line_at_the_start_and_one_at_the_end():
    with started("--web.listen-address=127.0.0.1:0") as (process, said):
        until(lambda: "msg=" in said())
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_SECONDS) == 0
        first, last = said().splitlines()
        assert re.fullmatch(
            r"time=\S+Z level=info source=exporter.service.serve msg=\"serving http://127\.0\.0\.1:\d+/metrics;"
            r" probe attached to sched_process_exec, not pinned; this kernel lacks .+; capabilities kept: none\"",
            first,
        )
        assert last.endswith('level=info source=exporter.service.serve msg="stopped"')


def test_it_logs_json():
    with started("--once", "--log.format=json", stdout=subprocess.DEVNULL) as (process, said):
        assert process.wait(DEADLINE_SECONDS) == 0
        lines = [json.loads(line) for line in said().splitlines()]
    assert [set(line) for line in lines] == [{"time", "level", "source", "msg"}] * 2
    assert lines[0]["msg"].startswith("printed once; probe attached")


def test_it_tells_systemd_when_it_is_ready_and_when_it_stops(tmp_path):
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(path)
        told.settimeout(DEADLINE_SECONDS)
        with served(command=["env", f"NOTIFY_SOCKET={path}", *COMMAND]) as exporter:
            assert told.recv(4096) == b"READY=1"
            assert exporter.get("/-/ready") == b"OK\n"
        assert told.recv(4096) == b"STOPPING=1"


def test_a_hangup_is_ignored(tmp_path):
    with served() as exporter:
        exporter.process.send_signal(signal.SIGHUP)
        assert counts(exporter, static_elf(tmp_path / "static"))


def test_a_stop_in_the_middle_of_a_start_ends_it_and_the_compiler():
    """The compiler is held up, for ever."""
    with started("--web.listen-address=127.0.0.1:0", "--bpf.cache-path=") as (process, said):
        (compiler,) = until(lambda: psutil.Process(process.pid).children())
        until(lambda: "libbcc" in Path(f"/proc/{compiler.pid}/maps").read_text())
        compiler.suspend()
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_SECONDS) == 0
        until(lambda: not compiler.is_running())
        assert said() == ""


def test_a_stop_while_something_hangs_ends_the_process_and_says_so(tmp_path):
    """A configuration on a disk that does not answer: a FUSE file system whose daemon reads no request."""
    config = tmp_path / "disk/web.yml"
    config.parent.mkdir()
    config.write_text("")
    with started(f"--web.config.file={config}", "--web.listen-address=127.0.0.1:0") as (process, said):
        port = int(until(lambda: re.search(r"serving http://127\.0\.0\.1:(\d+)/", said()))[1])
        with unanswered(config.parent), socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
            until(lambda: b"fuse" in b"".join(_waiting(process.pid)))
            process.send_signal(signal.SIGTERM)
            assert process.wait(DEADLINE_SECONDS) == 1
        assert "exiting without waiting any longer" in said().splitlines()[-1]


@contextlib.contextmanager
def unanswered(directory):
    """Mount a FUSE file system without a daemon over a directory."""
    device = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0"
    libc.call("mount", b"fuse", os.fsencode(directory), b"fuse", 0, options.encode())
    try:
        yield
    finally:
        os.close(device)
        subprocess.run(["umount", "--lazy", directory], check=True)


def _waiting(pid):
    """Yield where in the kernel each thread of a process waits."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        yield (thread / "wchan").read_bytes()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_who_is_being_answered_when_it_stops_gets_all_of_it(number):
    """Every response is complete, or refused before its first byte."""
    complete, cut = [], []

    def scrape():
        with contextlib.suppress(ConnectionError, http.client.RemoteDisconnected, TimeoutError):
            while True:
                connection = http.client.HTTPConnection(*address, timeout=120)
                connection.request("GET", "/metrics")
                answer = connection.getresponse()
                try:
                    body = answer.read()
                except (http.client.IncompleteRead, ConnectionError) as error:
                    cut.append(error)
                    return
                complete.append(body.endswith(b"\n"))
                connection.close()

    with served() as exporter:
        host, port = exporter.url.removeprefix("http://").split(":")
        address = host, int(port)
        scrapers = [threading.Thread(target=scrape) for _ in range(4)]
        for scraper in scrapers:
            scraper.start()
        until(lambda: len(complete) > 20)
        exporter.process.send_signal(number)
        assert exporter.process.wait(DEADLINE_SECONDS) == 0
        exporter.process.send_signal = lambda _: None
        for scraper in scrapers:
            scraper.join()
    assert all(complete)
    assert cut == []


def test_once_prints_one_exposition():
    result = subprocess.run([*COMMAND, "--once"], capture_output=True, timeout=DEADLINE_SECONDS, check=False)
    assert result.returncode == 0
    assert b"\nexec_exporter_probe_attached 1.0\n" in result.stdout
    promtool = Path(__file__).parents[2] / ".cache/promtool"
    checked = subprocess.run([promtool, "check", "metrics"], input=result.stdout, capture_output=True, check=False)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")


def test_once_reports_output_that_cannot_be_written():
    with Path("/dev/full").open("wb") as output:
        status, said = refused("--once", stdout=output)
    assert status == 1
    assert re.fullmatch(r"exec_exporter: cannot write to standard output.*: .*\n", said)


def test_once_ends_quietly_if_nobody_reads_its_output():
    reading, output = os.pipe()
    os.close(reading)
    with os.fdopen(output, "wb") as pipe:
        assert refused("--once", stdout=pipe) == (0, "")


def test_once_into_a_textfile(tmp_path):
    path = tmp_path / "exec.prom"
    assert refused("--once", f"--textfile={path}")[0] == 0
    assert "exec_exporter_probe_attached 1.0\n" in path.read_text()
    assert list(tmp_path.iterdir()) == [path]


def test_a_textfile_is_kept_up_to_date_whole_and_for_all_to_read(tmp_path):
    program = static_elf(tmp_path / "static")
    directory = tmp_path / "textfile"
    directory.mkdir()
    path = directory / "exec.prom"
    with started(f"--textfile={path}", "--textfile.interval=1", "--catalogue.path=", umask=0o077) as (process, said):
        until(lambda: "msg=" in said())
        execute(program, 5)
        until(lambda: f'path="{program}",stdin_type="null"}} 5.0\n' in path.read_text())
        for _ in range(200):
            assert path.read_text().endswith("\n")
            time.sleep(0.01)
        assert stat.S_IMODE(path.stat().st_mode) == 0o644
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_SECONDS) == 0
        assert "writing" in said().splitlines()[0]
    assert list(directory.iterdir()) == []


def test_sockets_of_systemd_are_served(tmp_path):
    """The sockets come from systemd's own tool, which starts the command at the first connection."""
    paths = tmp_path / "first", tmp_path / "second"
    command = [
        "systemd-socket-activate",
        *(f"--listen={path}" for path in paths),
        *COMMAND,
        *KEEPING_NOTHING,
        "--web.systemd-socket",
    ]
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, stderr=said)
        try:
            until(lambda: all(path.exists() for path in paths))
            for path in paths:
                assert asked_over(path) == 200
            process.send_signal(signal.SIGTERM)
            assert process.wait(DEADLINE_SECONDS) == 0
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
        assert (
            f"serving http://[{paths[0]}]/metrics, http://[{paths[1]}]/metrics;"
            in os.pread(said.fileno(), 1 << 20, 0).decode()
        )


def asked_over(path):
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(DEADLINE_SECONDS)
    connection.sock.connect(str(path))
    connection.request("GET", "/metrics")
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


WRONG = {
    "--web.config.file=/nowhere/web.yml": "--web.config.file=/nowhere/web.yml: No such file",
    "--web.listen-address=nonsense": "is not an address",
    "--web.systemd-socket": "systemd passed no socket",
    "--web.telemetry-path=/": "is not a path",
    "--textfile=/tmp/exec.txt": "does not end in .prom",
    "--textfile=/nowhere/exec.prom": "/nowhere is not a directory",
    "--web.max-requests=many": "is not a number from 0",
    "--log.level=loud": "invalid choice",
}


@pytest.mark.parametrize("argument", WRONG)
def test_wrong_usage_is_status_2_and_one_line(argument):
    status, said = refused(argument)
    assert status == 2
    assert said.startswith("exec_exporter: ")
    assert said.count("\n") == 1
    assert WRONG[argument] in said
