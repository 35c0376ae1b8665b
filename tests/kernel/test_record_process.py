"""Fields of the record of an exec: arguments, environment, standard input and process.

Expected values come from stat(2), from readlink of /proc, and from the test's own arguments of execve.
"""

import faulthandler
import os
import resource
import shutil
import socket
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from exporter.escape import escape
from exporter.events.decode import Decoder
from exporter.events.event_fields import FIELDS, unavailable
from exporter.events.event_json import as_json
from exporter.probe.program import ProbeSettings, load_tracer
from tests import compiled
from tests.kernel.programs import dynamic_elf, static_elf
from tests.kernel.test_executions import open_stdin
from tests.kernel.tracing import NO_INTERPRETER, PLAIN, RECORDED, child, executed, execveat, facts_of, shows


def test_no_arguments_at_all(trace, tmp_path):
    """Linux 5.18 and newer pass an empty argv[0] if there is none: dcd46d897adb."""
    program = static_elf(tmp_path / "static")
    pid, _ = child(lambda _: execveat(-1, str(program))(None, [], {}))
    (record,) = trace.of(pid)
    assert (record["argc"], record["argv"], record["argv_bytes"]) in [(1, [""], 1), (0, [], 0)]
    shows(record, envc=0, env=[], env_bytes=0)


def long_arguments(trace, tmp_path, arguments, environment):
    program = static_elf(tmp_path / "static")
    _, hard = resource.getrlimit(resource.RLIMIT_STACK)

    def action(_):
        resource.setrlimit(resource.RLIMIT_STACK, (64 << 20, hard))
        os.execve(program, arguments, environment)

    pid, _ = child(action)
    (record,) = trace.of(pid)
    return record


def test_a_hundred_thousand_arguments(trace, tmp_path):
    arguments = [str(number) for number in range(100_000)]
    record = long_arguments(trace, tmp_path, arguments, {})
    shows(record, argc=100_000, argv_bytes=sum(map(len, arguments)) + 100_000, truncated=["argv"])
    assert record["argv"][:-1] == arguments[: len(record["argv"]) - 1]
    assert sum(len(argument) + 1 for argument in record["argv"]) in (RECORDED, RECORDED + 1)


def test_two_megabytes_of_arguments(trace, tmp_path):
    record = long_arguments(trace, tmp_path, ["a" * 100_000] * 21, {})
    shows(record, argc=21, argv_bytes=21 * 100_001, truncated=["argv"], argv=["a" * RECORDED])


def test_a_megabyte_of_environment(trace, tmp_path):
    environment = {f"NAME{number}": "v" * 100_000 for number in range(10)}
    record = long_arguments(trace, tmp_path, ["x"], environment)
    size = sum(len(name) + 1 + len(value) + 1 for name, value in environment.items())
    shows(record, envc=10, env_bytes=size, truncated=["env"], argv=["x"])


def test_arguments_that_are_not_text(trace, tmp_path):
    program = static_elf(tmp_path / "static")
    arguments = [b"\xff", b"", b"new\nline", b'"', b"\\"]
    pid, _ = child(lambda _: os.execve(program, arguments, {b"\xfe": b"\x1b"}))
    (record,) = trace.of(pid)
    shows(record, argv=[escape(argument) for argument in arguments], env=[escape(b"\xfe=\x1b")])


@pytest.mark.parametrize("kind", ["file", "pipe", "socket", "tty", "null", "chardev", "directory", "anon", "closed"])
def test_stdin(trace, tmp_path, kind):
    program = static_elf(tmp_path / "static")
    descriptors = open_stdin(kind, tmp_path)
    link = str(Path(f"/proc/self/fd/{descriptors[0]}").readlink()) if descriptors[0] is not None else None

    def action(_):
        os.close(0) if descriptors[0] is None else os.dup2(descriptors[0], 0)
        os.execve(program, ["x"], {})

    pid, _ = child(action)
    for descriptor in filter(None, descriptors):
        os.close(descriptor)
    (record,) = trace.of(pid)
    shows(record, stdin_type=kind, stdin_path=link)


@pytest.mark.parametrize("kind", ["memfd", "deleted file", "named pipe", "named socket end"])
def test_stdin_without_an_ordinary_name(trace, tmp_path, kind):
    program = static_elf(tmp_path / "static")
    if kind == "memfd":
        descriptor = os.memfd_create("input", 0)
    elif kind == "deleted file":
        descriptor = os.open(tmp_path / "input", os.O_RDWR | os.O_CREAT)
        (tmp_path / "input").unlink()
    elif kind == "named pipe":
        os.mkfifo(tmp_path / "fifo")
        descriptor = os.open(tmp_path / "fifo", os.O_RDWR)
    else:
        server = socket.socket(socket.AF_UNIX)
        server.bind(str(tmp_path / "s"))
        descriptor = server.detach()
    link = str(Path(f"/proc/self/fd/{descriptor}").readlink())
    pid, _ = child(lambda _: (os.dup2(descriptor, 0), os.execve(program, ["x"], {})))
    os.close(descriptor)
    (record,) = trace.of(pid)
    shows(record, stdin_path=link)


def test_exec_from_a_thread_that_is_not_the_leader(trace, tmp_path):
    program = str(static_elf(tmp_path / "static"))

    def action(_):
        thread = threading.Thread(target=os.execve, args=(program, ["x"], {}))
        thread.start()
        thread.join()  # until it executes, or cannot

    pid, _ = child(action)
    (record,) = trace.of(pid)
    shows(record, facts_of(program), PLAIN, pid=pid, ppid=os.getpid(), pathname=program)


def test_posix_spawn_which_uses_vfork(trace, tmp_path):
    program = str(static_elf(tmp_path / "static"))
    pid = os.posix_spawn(program, ["x"], {"A": "B"})
    os.waitpid(pid, 0)
    (record,) = trace.of(pid)
    shows(record, facts_of(program), PLAIN, ppid=os.getpid(), argv=["x"], env=["A=B"])


def test_two_execs_in_one_process(trace, tmp_path):
    second = str(static_elf(tmp_path / "second"))
    env = shutil.which("env")
    pid, _ = child(lambda _: os.execve(env, ["env", second], {}))
    records = trace.of(pid)
    assert [record["pathname"] for record in records] == [os.path.realpath(env), second]
    assert records[0]["start_time"] == records[1]["start_time"]
    assert records[0]["time"] < records[1]["time"]


def test_times_are_those_of_the_process(trace, tmp_path):
    program = static_elf(tmp_path / "static")
    before = time.time_ns()
    pid, _ = child(lambda _: os.execve(program, ["x"], {}))
    after = time.time_ns()
    (record,) = trace.of(pid)
    slack = 50_000_000  # the clocks are read one after the other
    assert before - slack <= record["start_time"] <= record["time"] <= after + slack


def test_cgroup_is_the_inode_of_its_directory(trace, tmp_path):
    hierarchy = next((m.split()[1] for m in Path("/proc/mounts").read_text().splitlines() if " cgroup2 " in m), None)
    if hierarchy is None:
        assert "cgroup2" not in Path("/proc/mounts").read_text()
        pytest.skip("no cgroup v2 is mounted here")
    group = Path(hierarchy) / f"exec_exporter-test-{os.getpid()}"
    group.mkdir()
    try:
        program = static_elf(tmp_path / "static")

        def action(_):
            (group / "cgroup.procs").write_text("0")
            os.execve(program, ["x"], {})

        pid, _ = child(action)
        (record,) = trace.of(pid)
        assert record["cgroup"] == group.stat().st_ino
    finally:
        group.rmdir()


def test_program_started_by_the_kernel(trace, public_directory):
    """core_pattern with a pipe: the kernel starts the program that receives the core dump."""
    helper = static_elf(public_directory / "helper")
    pattern = Path("/proc/sys/kernel/core_pattern")
    before = pattern.read_text()
    # through /proc, because the kernel resolves the path from the root of process 1, which may differ
    name = f"/proc/{os.getpid()}/root{helper}"
    pattern.write_text(f"|{name} %P")
    try:
        pid = os.fork()
        if not pid:
            faulthandler.disable()  # which would print a traceback
            resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)
            os.abort()
        _, status = os.waitpid(pid, 0)
    finally:
        pattern.write_text(before)
    assert os.WCOREDUMP(status)
    (record,) = [record for record in trace.records() if record["pathname"] == str(helper)]
    shows(record, facts_of(helper), NO_INTERPRETER, invoked_from_kernel=True, cmdpath=name, argv=[name, str(pid)])
    shows(record, stdin_type="pipe")


def test_a_kernel_that_shows_everything_leaves_no_field_null(trace, tmp_path):
    program = str(dynamic_elf(tmp_path / "dynamic"))
    record, _ = executed(trace, program)
    assert [field for field in FIELDS if record[field] is None] == []


@pytest.mark.native
def test_without_a_feature_its_fields_are_null_and_say_why(tmp_path):
    program = static_elf(tmp_path / "static")
    settings = ProbeSettings(cache_path=compiled.DIRECTORY, without=frozenset({"stdin", "arguments", "ctime"}))
    with closing(load_tracer(settings)) as tracer:
        tracer.attach()
        pid, _ = child(lambda _: os.execve(program, ["x"], {}))
        decoder = Decoder(tracer.layouts)
        lacking = unavailable(tracer.missing)
        shown = [decoder.introduction(raw) for raw in tracer.introductions()]
    (found,) = [introduction for introduction in shown if introduction.pid == pid]
    record = as_json(decoder.key(found.key), found, lacking, boot_time_ns=0)
    assert record["pathname"] == str(program)
    for field in ("stdin_type", "stdin_path", "argv", "argc", "env", "env_bytes", "ctime"):
        assert record[field] is None
        assert record["unavailable"][field].startswith("this kernel lacks ")
