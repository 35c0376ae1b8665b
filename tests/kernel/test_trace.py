"""`exec_exporter trace` prints every execution once or counts it as lost, and prints secrets only on request."""

import json
import os
import re
import select
import signal
import subprocess
import threading
import time
from contextlib import contextmanager

import pytest

from exporter.events.event_fields import FIELDS
from tests.kernel.command import COMMAND, DEADLINE_SECONDS, refused, served
from tests.kernel.programs import execute, script, static_elf
from tests.kernel.scale import scaled
from tests.kernel.test_command import executions
from tests.repetition import repetitions

RATE_PER_SECOND = 2000
SECONDS = scaled(repetitions(3, exhaustive=10), emulated=1)
SECRET = "a-secret-that-must-not-be-seen"


class Tracing:
    """A running trace. `end` stops it and returns its lines."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen(
            [*COMMAND, "trace", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
        )
        self.lines = []
        ready, _, _ = select.select([self.process.stderr], [], [], DEADLINE_SECONDS)
        self.said = self.process.stderr.read(4096).decode() if ready else ""
        assert self.said.startswith("tracing"), self.said
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        with os.fdopen(os.dup(self.process.stdout.fileno()), "rb") as out:
            self.lines += [line.decode() for line in out]

    def wait(self):
        status = self.process.wait(DEADLINE_SECONDS)
        self._reader.join()
        self.said += self.process.stderr.read().decode()
        return status

    def end(self):
        self.process.send_signal(signal.SIGINT)
        assert self.wait() == 0
        return self.lines

    @property
    def summary(self):
        numbers = re.search(r"(\d+) executions seen, (\d+) printed, (\d+) lost\n$", self.said)
        return tuple(map(int, numbers.groups()))


@contextmanager
def tracing(*arguments):
    trace = Tracing(*arguments)
    try:
        yield trace
    finally:
        if trace.process.poll() is None:
            trace.process.kill()
            trace.process.wait()
        trace.process.stdout.close()
        trace.process.stderr.close()


@pytest.mark.native
def test_each_execution_is_an_object_with_all_fields(tmp_path):
    program = script(tmp_path / "script")
    with tracing("--path", f"{tmp_path}/*") as trace:
        execute(program, 5, arguments=("x", SECRET))
        records = [json.loads(line) for line in trace.end()]
    assert [record["path"] for record in records] == [str(program)] * 5
    assert all(set(FIELDS) <= set(record) for record in records)
    assert len({record["pid"] for record in records}) == 5
    assert [(record["argv"], record["env"]) for record in records] == [(None, None)] * 5
    assert records[0]["unavailable"]["argv"] == "not asked for"


@pytest.mark.native
def test_arguments_and_environment_are_shown_only_on_request(tmp_path):
    program = static_elf(tmp_path / "static")

    def lines(*arguments):
        with tracing("--path", str(program), *arguments) as trace:
            os.waitpid(os.posix_spawn(program, ["x", SECRET], {"NAME": SECRET}), 0)
            return "".join(trace.end())

    assert SECRET not in lines()
    names = lines("--record.env=names", "--record.argv-bytes=4")
    assert SECRET not in names
    assert (json.loads(names)["env"], json.loads(names)["argv"]) == (["NAME"], ["x", SECRET[:2]])
    assert json.loads(lines("--record.env=values"))["env"] == [f"NAME={SECRET}"]


@pytest.mark.native
def test_filters(public_directory):
    one, two = static_elf(public_directory / "one"), static_elf(public_directory / "two")

    def paths(*arguments):
        with tracing(*arguments) as trace:
            for program in (one, two):
                child = os.fork()
                if not child:
                    try:
                        os.setgid(12345)
                        os.setuid(12345)
                        os.execve(program, ["x"], {})
                    finally:
                        os._exit(127)  # it is still a copy of the test
                assert os.waitpid(child, 0)[1] == 0
            return [json.loads(line)["path"] for line in trace.end()]

    assert paths("--uid=12345") == [str(one), str(two)]
    assert paths("--uid=12345", "--path=*/one") == [str(one)]
    assert paths("--uid=12345", "--pid=1") == []
    assert paths("--uid=12345", "--cgroup=4294967295") == []


@pytest.mark.native
def test_it_ends_after_so_many_lines(tmp_path):
    program = static_elf(tmp_path / "static")
    with tracing("--count=3", "--path", str(program)) as trace:
        execute(program, 10)
        assert trace.wait() == 0
    assert len(trace.lines) == 3
    assert trace.summary[1] == 3


@pytest.mark.native
def test_text_for_people(tmp_path):
    program = script(tmp_path / "script")
    with tracing("--format=text", "--path", str(program), "--record.argv-bytes=100") as trace:
        execute(program, arguments=("x", "y z"))
        (line,) = trace.end()
    time_pid_ppid_uid = rf"\d\d:\d\d:\d\d\.\d{{3}} +\d+ +{os.getpid()} +0"
    assert re.fullmatch(rf'{time_pid_ppid_uid} null +{program} \(/bin/sh\) \["/bin/sh", "{program}", "y z"\]\n', line)


@pytest.mark.native
def test_a_reader_that_goes_away_is_no_error(tmp_path):
    program = static_elf(tmp_path / "static")
    command = f"{COMMAND[0]} trace --path {program} | head -n 1"
    pipeline = subprocess.Popen(["sh", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + DEADLINE_SECONDS
    while pipeline.poll() is None and time.monotonic() < end:
        execute(program, 10)
    out, said = pipeline.communicate(timeout=DEADLINE_SECONDS)
    assert len(out.splitlines()) == 1
    assert "Traceback" not in said
    assert "BrokenPipe" not in said


@pytest.mark.native
@pytest.mark.parametrize(
    ("flag", "words"),
    [
        ("--pid=x", "not a number"),
        ("--record.env=all", "invalid choice"),
        ("--record.argv-bytes=1000000", "not a number from 0 to 65536"),
        ("--cgroup=/no/such/directory", "cannot be read"),
        ("--nonsense", "unrecognized"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(flag, words):
    status, said = refused("trace", flag)
    assert (status, said.count("\n")) == (2, 1)
    assert words in said


def test_at_2000_a_second_each_is_printed_once_or_counted_as_lost_beside_the_service(tmp_path):
    program = static_elf(tmp_path / "static")
    total = RATE_PER_SECOND * SECONDS
    with served() as service, tracing("--path", str(program)) as trace:
        start = time.monotonic()
        for done in range(0, total, 100):
            execute(program, 100)
            while (done + 100) / (time.monotonic() - start) > RATE_PER_SECOND:
                os.sched_yield()
        lines = trace.end()
        counted = executions(service.get(), tmp_path)
    records = [json.loads(line) for line in lines]
    seen, printed, lost = trace.summary
    assert len({(record["pid"], record["time"]) for record in records}) == len(records) == printed
    assert all(record["path"] == str(program) for record in records)
    assert total - lost <= printed <= total <= seen
    assert counted == {b"static": total}


@pytest.mark.native
def test_records_that_do_not_fit_into_the_ring_buffer_are_counted(tmp_path):
    program = static_elf(tmp_path / "static")
    with tracing("--bpf.ring-buffer-pages=1") as trace:
        trace.process.send_signal(signal.SIGSTOP)
        execute(program, 500)
        trace.process.send_signal(signal.SIGCONT)
        trace.end()
    seen, printed, lost = trace.summary
    assert lost > 400
    assert seen == printed + lost
