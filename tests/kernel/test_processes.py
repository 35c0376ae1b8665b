"""Exits, lifetimes and running processes: known work, compared with wait(2) and the clock."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from tests.kernel.programs import execute, static_elf
from tests.kernel.running import running
from tests.kernel.scale import scaled
from tests.waiting import until

SHELL = "dash" if shutil.which("dash") else "bash"
PRIME = 13
SLEEPS = scaled(101, emulated=7)
OUTCOMES = ("success", "failure", "signal", "crash")


def exits(scraped, path):
    return tuple(scraped.value("exec_exits_total", path=str(path), outcome=outcome) for outcome in OUTCOMES)


def run(scraped, path):
    return scraped.value("exec_running_processes", path=str(path))


def becomes(number, exporter, path):
    """Wait until so many processes run: Popen returns a moment before the execution is complete."""
    return until(lambda: run(exporter.scrape(), path) == number, what=f"{number} processes run")


def lifetimes(scraped, path):
    return scraped.value("exec_lifetime_seconds_count", path=str(path))


def copy_of(name, directory):
    """Return a program at a path that nobody else executes."""
    path = directory / name
    shutil.copyfile(os.path.realpath(sys.executable if name == "python3" else shutil.which(name)), path)
    path.chmod(0o755)
    return path


@contextmanager
def started(command, number=1, **options):
    """Yield running processes, which are killed at the end."""
    processes = [subprocess.Popen(command, **options) for _ in range(number)]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()


def test_exits_by_outcome(exporter, tmp_path):
    good, bad, broken = (
        static_elf(tmp_path / "good"),
        static_elf(tmp_path / "bad", status=3),
        static_elf(tmp_path / "broken", status=None),
    )
    execute(good, 11)
    execute(bad, 23, ends=3)
    execute(broken, 7, ends=-signal.SIGSEGV)
    scraped = exporter.scrape()
    assert exits(scraped, good) == (11, 0, 0, 0)
    assert exits(scraped, bad) == (0, 23, 0, 0)
    assert exits(scraped, broken) == (0, 0, 0, 7)
    assert [lifetimes(scraped, path) for path in (good, bad, broken)] == [11, 23, 7]


def test_signals_that_dump_core_are_crashes_and_others_are_not(exporter, tmp_path):
    """All signals that end a process by default; signal(7) says which of them dump core."""
    crashes = ("QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "SEGV", "XCPU", "XFSZ", "SYS")
    others = (
        "HUP",
        "INT",
        "KILL",
        "USR1",
        "USR2",
        "PIPE",
        "ALRM",
        "TERM",
        "VTALRM",
        "PROF",
        "IO",
        "PWR",
        "RTMIN",
        "RTMAX",
    )
    sleep = copy_of("sleep", tmp_path)
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    for name in crashes + others:
        number = getattr(signal, f"SIG{name}")
        with started([sleep, "1000"], preexec_fn=lambda n=number: restore_signals(n)) as (process,):
            becomes(1, exporter, sleep)
            process.send_signal(number)
            assert process.wait() == -number
    assert exits(exporter.scrape(), sleep) == (0, 0, len(others), len(crashes))


def restore_signals(number):
    """What a test is started by may ignore or block signals."""
    if number != signal.SIGKILL:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])


def test_a_reader_of_a_pipe_that_goes_away_is_no_crash(exporter, tmp_path):
    yes = copy_of("yes", tmp_path)
    for _ in range(PRIME):
        process = subprocess.Popen([yes], stdout=subprocess.PIPE)
        process.stdout.close()
        assert process.wait() == -signal.SIGPIPE
    assert exits(exporter.scrape(), yes) == (0, 0, PRIME, 0)


def test_lifetimes_of_processes_that_sleep_50_ms(exporter, tmp_path):
    sleep = copy_of("sleep", tmp_path)
    begun = time.monotonic()
    for _ in range(SLEEPS):
        subprocess.run([sleep, "0.05"], check=True)
    lasted = time.monotonic() - begun
    scraped = exporter.scrape()
    assert lifetimes(scraped, sleep) == SLEEPS
    assert scraped.value("exec_lifetime_seconds_bucket", path=str(sleep), le="0.01") == 0
    assert scraped.value("exec_lifetime_seconds_bucket", path=str(sleep), le="+Inf") == SLEEPS
    assert SLEEPS * 0.05 <= scraped.value("exec_lifetime_seconds_sum", path=str(sleep)) <= lasted
    assert exits(scraped, sleep) == (SLEEPS, 0, 0, 0)


def test_running_processes(exporter, tmp_path):
    sleep = copy_of("sleep", tmp_path)
    with started([sleep, "1000"], 7):
        assert becomes(7, exporter, sleep)
    scraped = exporter.scrape()
    assert run(scraped, sleep) == 0
    assert exits(scraped, sleep) == (0, 0, 7, 0)


def test_a_forked_child_runs_its_parents_program_and_has_executed_nothing(exporter, tmp_path):
    shell = copy_of(SHELL, tmp_path)
    program = "exec 3<&0; (read x <&3; exit 5) & (read x <&3; exit 5) & (read x <&3; exit 5) & echo; wait"
    before = exporter.scrape().value("exec_exporter_exits_lost_total")
    with started([shell, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as (process,):
        process.stdout.readline()
        assert run(exporter.scrape(), shell) == 4
        process.stdin.close()
        assert process.wait() == 0
    exporter.pipeline.evict()
    scraped = exporter.scrape()
    succeeded, failed, killed, crashed = exits(scraped, shell)
    lost = scraped.value("exec_exporter_exits_lost_total") - before
    assert (killed, crashed, failed <= 3, succeeded <= 1) == (0, 0, True, True)
    assert 4 - succeeded - failed <= lost, "some are neither counted nor lost"
    assert lifetimes(scraped, shell) == succeeded
    assert run(scraped, shell) == 0


def test_a_process_belongs_to_the_program_that_it_executed_last(exporter, tmp_path):
    shell, program = copy_of(SHELL, tmp_path), static_elf(tmp_path / "last", status=4)
    process = subprocess.run([shell, "-c", f"exec {program}"], check=False)
    assert process.returncode == 4
    scraped = exporter.scrape()
    assert exits(scraped, shell) == (0, 0, 0, 0)
    assert exits(scraped, program) == (0, 1, 0, 0)
    assert sum(scraped.executions(tmp_path).values()) == 2
    assert run(scraped, shell) == run(scraped, program) == 0


PYTHON_HOME = {"PYTHONHOME": sys.base_prefix}
PYTHON = """
import ctypes, os, sys, threading
libc = ctypes.CDLL(None)
SYS_exit = {"x86_64": 60, "aarch64": 93}[os.uname().machine]
def leader_is_gone():
    stat = f"/proc/self/task/{os.getpid()}/stat"
    while open(stat).read().rpartition(") ")[2][0] != "Z":
        os.sched_yield()
def other():
    sys.stdin.read()
    %s
threading.Thread(target=other).start()
%s
"""


@pytest.mark.parametrize(
    ("other", "leader", "statuses"),
    [
        # the kernel's version decides which thread's status wait(2) returns: the leader's or the last one's
        ("leader_is_gone(); libc.syscall(SYS_exit, 0)", "libc.syscall(SYS_exit, 3)", {0, 3}),
        ("leader_is_gone(); os._exit(9)", "libc.syscall(SYS_exit, 0)", {9}),
        ("leader_is_gone(); os.kill(os.getpid(), 9)", "libc.syscall(SYS_exit, 0)", {-9}),
        ("pass", "os._exit(0)", {0}),
    ],
    ids=["each by itself", "exit_group", "killed", "the leader ends all"],
)
def test_a_process_with_threads_ends_once_and_with_the_status_of_wait(exporter, tmp_path, other, leader, statuses):
    python = copy_of("python3", tmp_path)
    with started([python, "-c", PYTHON % (other, leader)], stdin=subprocess.PIPE, env=PYTHON_HOME) as (process,):
        process.stdin.close()
        status = process.wait()
    assert status in statuses
    scraped = exporter.scrape()
    assert exits(scraped, python) == (status == 0, status > 0, status < 0, 0)
    assert lifetimes(scraped, python) == 1
    assert run(scraped, python) == 0


def test_an_exec_from_a_thread_that_is_not_the_leader_is_the_process(exporter, tmp_path):
    python, program = copy_of("python3", tmp_path), static_elf(tmp_path / "last", status=4)
    code = PYTHON % (f"os.execv({str(program)!r}, ['x'])", "pass")
    with started([python, "-c", code], stdin=subprocess.PIPE, env=PYTHON_HOME) as (process,):
        process.stdin.close()
        assert process.wait() == 4
    scraped = exporter.scrape()
    assert exits(scraped, python) == (0, 0, 0, 0)
    assert exits(scraped, program) == (0, 1, 0, 0)


@pytest.mark.native
def test_processes_older_than_the_probe_are_seen_to_run_and_to_end(tmp_path):
    sleep = copy_of("sleep", tmp_path)
    with started([sleep, "1000"], 5) as processes, running() as exporter:
        assert run(exporter.scrape(), sleep) == 5
        for process in processes[:2]:
            process.kill()
            process.wait()
        scraped = exporter.scrape()
        assert run(scraped, sleep) == 3
        assert exits(scraped, sleep) == (0, 0, 2, 0)
        assert lifetimes(scraped, sleep) == 0, "nobody knows when they were executed"
        assert scraped.executions(tmp_path) == {}


@pytest.mark.native
def test_with_a_map_of_processes_that_is_full_they_are_counted_and_nothing_else_is_wrong(tmp_path):
    program = static_elf(tmp_path / "static")
    with running(process_entries=1) as exporter:
        before = exporter.scrape()
        execute(program, 13)
        exporter.probe.detach()
        scraped = exporter.scrape()
    assert scraped.value("exec_exporter_map_entries", map="processes") <= 1
    assert scraped.value("exec_exporter_processes_untracked_total") > 0
    assert before.value("exec_exporter_map_capacity", map="processes") == 1
    assert sum(scraped.executions(tmp_path).values()) == 13
    assert scraped.sum_is_exact()


@pytest.mark.native
def test_disabled_collectors_are_not_attached_and_not_shown(tmp_path):
    with running(collect=frozenset()) as exporter:
        execute(static_elf(tmp_path / "static"), 13)
        scraped = exporter.scrape()
        assert sum(scraped.executions(tmp_path).values()) == 13
        collectors = {sample.labels["collector"] for sample in scraped.samples("exec_exporter_collector_success")}
        assert collectors == {"executions", "novelty", "probe"}  # novelty reports that it is off
        assert {s.labels["program"] for s in scraped.samples("exec_exporter_probe_run_seconds_total")} == {"exec"}
    for name in ("exec_exits_total", "exec_running_processes", "exec_forks_total", "exec_traits_total"):
        assert not scraped.samples(name)
