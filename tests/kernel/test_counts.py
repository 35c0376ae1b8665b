"""Counts of the whole machine: forks, failed executions, histograms by format. Known work, exact numbers."""

import ctypes
import errno
import os
import tempfile
import threading
import time
from pathlib import Path

import pytest

from exporter.probe.exec_header import FORMATS
from exporter.probe.failure_hook import KINDS
from tests.kernel.programs import dynamic_elf, execute, failing_in_32_bit, script, static_elf
from tests.kernel.quiet import DEADLINE_SECONDS, grown, while_nobody_else_executes, while_nobody_else_forks
from tests.kernel.running import running
from tests.kernel.test_record import binfmt_misc
from tests.kernel.tracing import child, mount, own_users

PRIME = 13
THREADS = 13
PROCESSES = 17


def fork(times):
    for _ in range(times):
        pid = os.fork()
        if not pid:
            os._exit(0)
        os.waitpid(pid, 0)


def test_forks_of_processes_and_threads(exporter):
    def work():
        for _ in range(THREADS):
            thread = threading.Thread(target=lambda: None)
            thread.start()
            thread.join()
        fork(PROCESSES)

    before, after, of_machine = while_nobody_else_forks(exporter, work)
    threads = grown(before, after, "exec_forks_total", task="thread")
    processes = grown(before, after, "exec_forks_total", task="process")
    assert threads + processes == of_machine
    assert (threads - THREADS, processes - PROCESSES) >= (0, 0)
    assert of_machine > THREADS + PROCESSES or (threads, processes) == (THREADS, PROCESSES)


@pytest.fixture(scope="module", params=KINDS)
def hooked(request, exporter):
    """Yield the probe with one kind of hook for failures."""
    exporter.probe.detach()
    exporter.probe.attach(failure_hooks=(request.param,))
    hook = exporter.probe.failure_hook
    if hook.kind:
        yield exporter
    exporter.probe.detach()
    exporter.probe.attach()
    if not hook.kind:
        assert request.param != "tracepoint", hook.refused
        assert len(hook.refused) == 1
        pytest.skip(f"failed executions are not seen by {hook.refused[0]}")


def failing(path, arguments=("x",)):
    try:
        os.execv(path, arguments)
    except OSError as error:
        return errno.errorcode[error.errno]
    raise AssertionError("it was executed")


def test_failed_executions_by_error(hooked, tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").write_text("no program")
    (tmp_path / "odd").write_bytes(b"\0\1\2")
    (tmp_path / "odd").chmod(0o755)
    busy = static_elf(tmp_path / "busy")
    work = {
        "ENOENT": (31, tmp_path / "missing"),
        "ELOOP": (3, tmp_path / "loop"),
        "EACCES": (5, tmp_path / "file"),
        "ENOTDIR": (7, tmp_path / "file/program"),
        "ENAMETOOLONG": (11, tmp_path / ("n" * 256)),
        "ENOEXEC": (13, tmp_path / "odd"),
        "ETXTBSY": (17, busy),
    }
    expected = {error: times for error, (times, _) in work.items()}
    end = time.monotonic() + DEADLINE_SECONDS
    with busy.open("r+b"):
        while time.monotonic() < end:
            before = hooked.scrape()
            for error, (times, path) in work.items():
                assert {failing(path) for _ in range(times)} == {error}
            after = hooked.scrape()
            found = {s.labels["error"]: s.value for s in after.samples("exec_failures_total")}
            for sample in before.samples("exec_failures_total"):
                found[sample.labels["error"]] -= sample.value
            assert all(found[error] >= times for error, times in expected.items()), found
            if {error: times for error, times in found.items() if times} == expected:
                return
    raise AssertionError(f"others fail to execute programs here all the time: {found}")


def test_execveat_is_seen_too(hooked, tmp_path):
    libc = ctypes.CDLL(None, use_errno=True)
    number = {"x86_64": 322, "aarch64": 281}[os.uname().machine]
    before = hooked.scrape()
    for _ in range(PRIME):
        assert libc.syscall(number, -1, b"relative", None, None, 0) == -1
        assert ctypes.get_errno() == errno.EBADF
    assert grown(before, hooked.scrape(), "exec_failures_total", error="EBADF") == PRIME


def test_failed_executions_of_32_bit_programs(hooked, tmp_path):
    if os.uname().machine != "x86_64":
        pytest.skip("this machine has no 32-bit entry that a 64-bit program can use")
    program = static_elf(tmp_path / "static", before=failing_in_32_bit(PRIME))
    before = hooked.scrape()
    try:
        execute(program)
    except AssertionError:
        pytest.skip("this kernel takes no calls of 32-bit programs")
    assert grown(before, hooked.scrape(), "exec_failures_total", error="EFAULT") == 2 * PRIME


@pytest.mark.native
def test_without_a_way_to_see_failures_the_collector_fails_alone(tmp_path):
    with running(failure_hooks=()) as exporter:
        execute(static_elf(tmp_path / "static"), PRIME)
        scraped = exporter.scrape()
    assert scraped.value("exec_exporter_collector_success", collector="failures") == 0
    assert not scraped.samples("exec_failures_total")
    assert (
        scraped.value("exec_exporter_collector_success") == len(scraped.samples("exec_exporter_collector_success")) - 1
    )
    assert sum(scraped.executions(tmp_path).values()) == PRIME


def buckets(scraped, name, format_name):
    return {
        float(s.labels["le"]): s.value for s in scraped.samples(f"{name}_bucket") if s.labels["format"] == format_name
    }


@pytest.mark.parametrize(
    ("format_name", "make", "arguments"),
    [
        ("elf_static", static_elf, 3),
        ("elf_dynamic", dynamic_elf, 3),
        ("script", script, 4),  # the interpreter, the script, and all but the first argument
    ],
)
def test_histograms_of_arguments_and_environment(exporter, tmp_path, format_name, make, arguments):
    program = make(tmp_path / "program")
    argv, environment = (b"x", b"y" * 300, b""), {"A": "b" * 5000}
    before, after = while_nobody_else_executes(
        exporter, lambda: execute(program, PRIME, arguments=argv, environment=environment), PRIME
    )
    size = len(b"\0".join(argv)) + 1
    if format_name == "script":
        size += len("/bin/sh\0") + len(f"{program}\0") - len(b"x\0")
    expected = {
        "exec_arguments": arguments,
        "exec_arguments_bytes": size,
        "exec_environment_bytes": len("A=\0") + 5000,
    }
    for name, value in expected.items():
        assert grown(before, after, f"{name}_sum", format=format_name) == PRIME * value, name
        assert grown(before, after, f"{name}_count", format=format_name) == PRIME
        first, then = buckets(before, name, format_name), buckets(after, name, format_name)
        assert {le: then[le] - first[le] for le in then} == {le: PRIME * (value <= le) for le in then}
    others = [other for other in FORMATS if other != format_name]
    assert [grown(before, after, f"{name}_count", format=other) for name in expected for other in others] == [0] * 9


def test_the_histogram_of_ages(exporter, tmp_path):
    program = static_elf(tmp_path / "program")
    end = time.monotonic() + DEADLINE_SECONDS
    while time.time() < program.stat().st_ctime + 1.1:
        assert time.monotonic() < end
        time.sleep(0.05)
    begun = time.time()
    before, after = while_nobody_else_executes(exporter, lambda: execute(program, PRIME), PRIME)
    changed = program.stat().st_ctime
    name = "exec_binary_age_seconds"
    assert grown(before, after, f"{name}_count", format="elf_static") == PRIME
    total = grown(before, after, f"{name}_sum", format="elf_static")
    assert PRIME * (begun - changed) - 0.02 * PRIME <= total <= PRIME * (time.time() - changed) + 0.02 * PRIME
    first, then = buckets(before, name, "elf_static"), buckets(after, name, "elf_static")
    assert then[1.0] - first[1.0] == 0
    assert then[float("inf")] - first[float("inf")] == PRIME


def test_a_change_time_that_is_ahead_of_the_clock_is_no_age(exporter, tmp_path):
    program = static_elf(tmp_path / "program")
    with exporter.clock_set(-3600):
        before, after = while_nobody_else_executes(exporter, lambda: execute(program, PRIME), PRIME)
    assert grown(before, after, "exec_arguments_count", format="elf_static") == PRIME
    assert grown(before, after, "exec_binary_age_seconds_count", format="elf_static") == 0
    assert grown(before, after, "exec_binary_age_seconds_sum", format="elf_static") == 0


@pytest.mark.native
def test_interpreters_of_binfmt_misc_have_a_format_of_their_own(tmp_path):
    interpreter, program = static_elf(tmp_path / "interpreter"), tmp_path / "program"
    program.write_bytes(b"EXECTEST and more")
    program.chmod(0o755)
    with binfmt_misc("exec_exporter_test", str(interpreter), "EXECTEST"), running() as exporter:
        before, after = while_nobody_else_executes(exporter, lambda: execute(program, PRIME), PRIME)
    assert grown(before, after, "exec_arguments_count", format="misc") == PRIME
    assert grown(before, after, "exec_arguments_count") == PRIME


def test_run_times_of_each_program_while_the_kernel_counts_them(exporter, tmp_path):
    switch = Path("/proc/sys/kernel/bpf_stats_enabled")
    before = switch.read_text()
    first = exporter.scrape()
    switch.write_text("1")
    try:
        execute(static_elf(tmp_path / "static"), PRIME)
    finally:
        switch.write_text(before)
    then = exporter.scrape()
    for program in ("exec", "exit", "fork"):
        assert 0 < grown(first, then, "exec_exporter_probe_run_seconds_total", program=program) < 1


@pytest.fixture
def short_path():
    """Return a directory whose programs have names that the probe compares whole."""
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory)


@pytest.mark.parametrize("nested", [False, True], ids=["its own", "of the namespace around it"])
def test_formats_that_a_container_registered_are_those_of_its_processes(exporter, short_path, nested):
    if "misc_namespaces" in {feature.name for feature in exporter.probe.missing}:
        pytest.skip("this kernel has no binfmt_misc of user namespaces")
    names = ("off", "inside", *(f"other-{number}" for number in range(5)), "outside")
    interpreters = {name: static_elf(short_path / name) for name in names}
    scripts = {name: script(short_path / f"script-{name}", str(path)) for name, path in interpreters.items()}
    program, formats = short_path / "program", short_path / "formats"
    program.write_bytes(b"EXECTEST and more")
    program.chmod(0o755)
    formats.mkdir()

    def inside(_):
        own_users()
        mount("none", formats, "binfmt_misc")
        for name in names[:-1]:
            magic = "EXECTEST" if name == "inside" else f"NOTHING {name}"
            (formats / "register").write_text(f":{name}:M::{magic}::{interpreters[name]}:")
        (formats / "off").write_text("0")
        if nested:
            own_users()
        execute(program, PRIME)
        execute(scripts["outside"], 2)  # registered with the host only
        execute(scripts["off"], 3)
        os._exit(0)

    def work():
        child(inside)
        execute(scripts["inside"], 5)  # not registered with the host

    with binfmt_misc("exec_exporter_test", str(interpreters["outside"]), "OUTSIDE"):
        exporter.probe.refresh_settings()
        before, after = while_nobody_else_executes(exporter, work, PRIME + 2 + 3 + 5)
    exporter.probe.refresh_settings()
    assert grown(before, after, "exec_arguments_count", format="misc") == PRIME
    assert grown(before, after, "exec_arguments_count", format="script") == 2 + 3 + 5
