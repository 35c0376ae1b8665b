"""Under more programs, processes and forks than there is room for: sums stay exact, and what is bounded stays so."""

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import yaml

from exporter.collectors.flags import SeriesOptions
from exporter.collectors.housekeeping import Housekeeping, in_background
from exporter.compiler.ctypes_layout import u64_reader
from tests.kernel.programs import execute, execute_as_new, static_elf
from tests.kernel.running import running
from tests.repetition import repetitions

pytestmark = pytest.mark.native

STRESS_SECONDS = repetitions(6, exhaustive=20)
NOBODY = 65534
FEW = 32  # the stressors themselves, their parents, and operations that had begun when the time was over
PROGRAMS = 50_000
WORKERS = 2
STEP = 100
ENTRIES = 32_768  # of the map
SPARE = 2000  # for what others execute
NO_ROOM_SECONDS = 60
FOLDED = ("exec_exporter_executions_folded_total", "exec_exporter_executions_expired_total")


def stress(directory, *stressors):
    """Runs stress-ng as nobody, which its exec stressor insists on; returns what it says it did, by stressor."""
    report = directory / "report"
    options = [option for stressor in stressors for option in (f"--{stressor}", "1")]
    subprocess.run(
        ["stress-ng", "--quiet", *options, "--timeout", f"{STRESS_SECONDS}s", "--metrics", "--yaml", report],
        check=True,
        timeout=STRESS_SECONDS + 240,
        cwd=directory,
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
    )
    _, title, metrics = report.read_text().partition("metrics:\n")  # what is above it is not always YAML
    return {metric["stressor"]: metric["bogo-ops"] for metric in yaml.safe_load(title + metrics)["metrics"]}


def test_stress_of_exec_fork_and_vfork(tmp_path):
    os.chown(tmp_path, NOBODY, NOBODY)
    for directory in tmp_path.parents[:2]:
        directory.chmod(0o755)
    with running() as exporter:
        done = stress(tmp_path, "exec", "fork", "vfork")
        exporter.probe.detach()
        scraped = exporter.scrape()
    (path,) = {labels.path for labels in scraped.executions() if labels.path.endswith("/stress-ng")}
    assert scraped.sum_is_exact()
    assert scraped.value("exec_executions_total", path=path) > 100
    assert min(done.values()) > 100
    # each of its operations is a process of stress-ng, and there are few beside them
    assert 0 <= scraped.value("exec_exits_total", path=path) - sum(done.values()) <= FEW
    assert scraped.value("exec_forks_total", task="process") >= sum(done.values())
    assert scraped.value("exec_exporter_executions_lost_total") == 0
    assert scraped.value("exec_exporter_processes_untracked_total") == 0
    assert scraped.value("exec_running_processes", path=path) == 0


@contextmanager
def pipe():
    ends = os.pipe()
    try:
        yield ends
    finally:
        for end in ends:
            os.close(end)


BYTES_PER_KEY = 2048  # 1,500 are measured


def executed_by_workers(directory, program, allowed, allow):
    """Executes PROGRAMS names of one file, each once, from WORKERS processes; a name is removed after its turn.

    Before each STEP programs a worker reads a byte from `allowed`, the other end of `allow`.
    """
    children = []
    for worker in range(WORKERS):
        child = os.fork()
        if not child:
            status = 1
            try:
                os.close(allow)
                for turn, number in enumerate(range(worker, PROGRAMS, WORKERS)):
                    if turn % STEP == 0 and not os.read(allowed, 1):
                        os._exit(status)
                    execute_as_new(program, directory / f"program-{number}")
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    return children


def test_fifty_thousand_programs(tmp_path):
    """More than the map has room for, each gone after it was executed, and no faster than there is room for them."""
    limit = 1000
    with running(SeriesOptions(limit=limit)) as exporter, pipe() as (allowed, allow):
        me = psutil.Process()
        with in_background(Housekeeping(exporter.probe, exporter.pipeline), exporter.probe):
            children = executed_by_workers(tmp_path, static_elf(tmp_path / "program"), allowed, allow)
            scraped = exporter.scrape()
            before, begun, memory = scraped.value("exec_exporter_probe_runs_total"), 0, []
            moved = time.monotonic()
            while children:
                pid, status = os.waitpid(children[0], os.WNOHANG)
                if pid:
                    assert status == 0
                    children.pop(0)
                scraped = exporter.scrape()
                assert scraped.value("exec_exporter_series") <= limit
                memory.append(me.memory_info().rss)
                entries = scraped.value("exec_exporter_map_entries", map="execs")
                under_way = begun - (scraped.value("exec_exporter_probe_runs_total") - before)
                while begun < PROGRAMS and entries + under_way + STEP + SPARE < ENTRIES:
                    os.write(allow, b"!")
                    begun, under_way, moved = begun + STEP, under_way + STEP, time.monotonic()
                assert begun >= PROGRAMS or time.monotonic() - moved < NO_ROOM_SECONDS, "no room is made"
        exporter.probe.detach()
        scraped = exporter.scrape()
    assert scraped.sum_is_exact()
    assert scraped.value("exec_exporter_executions_lost_total") == 0, "the map was full"
    assert scraped.value("exec_exporter_map_entries", map="execs") <= ENTRIES
    named = sum(scraped.executions(tmp_path).values())
    assert named <= limit
    assert named + sum(map(scraped.value, FOLDED)) >= PROGRAMS
    # what is known of each key in the map, and no more for those that have gone
    assert max(memory) - memory[0] < ENTRIES * BYTES_PER_KEY
    late = len(memory) // 4
    assert max(memory[-late:]) - max(memory[:-late]) < 16 << 20


def test_programs_that_come_and_go_stay_exact(tmp_path):
    """Keys are taken out of the map while they are executed again, as fast as it can be done."""
    programs = [static_elf(tmp_path / f"elf-{number}", salt=bytes([number])) for number in range(7)]
    with running(SeriesOptions(idle_seconds=0.01)) as exporter:
        for turn in range(300):
            execute(programs[turn % 7])
            if turn % 3 == 0:
                exporter.pipeline.evict()
        exporter.probe.detach()
        exporter.pipeline.evict()
        scraped = exporter.scrape()
    assert scraped.value("exec_exporter_executions_expired_total") > 0
    assert scraped.sum_is_exact()


def test_what_is_taken_out_and_comes_back_says_when_it_began(tmp_path):
    path, found = static_elf(tmp_path / "static"), []
    with running() as exporter:
        probe = exporter.probe
        executed = u64_reader(probe.structs["execs"], "began", "executions", "program")
        ended = u64_reader(probe.structs["exits"], "began", "exits")
        identities, inode = exporter.pipeline.decoder.identities, path.stat().st_ino
        for times in (2, 3):
            started = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
            execute(path, times)
            (key,) = {key for key, _ in probe.entries("execs") if identities(key)[0].inode == inode}
            began, executions, program = executed(probe.take("execs", key))
            life, exits, *_ = ended(probe.take("exits", program.to_bytes(8, sys.byteorder)))
            assert (executions, exits) == (times, times)
            assert started < began < life < time.clock_gettime_ns(time.CLOCK_BOOTTIME)
            found.append((key, program))
    assert found[0] == found[1], "it is the same program"


def test_what_is_idle_is_taken_out_of_every_map(tmp_path):
    program = static_elf(tmp_path / "static")
    with running(SeriesOptions(idle_seconds=0.001)) as exporter:
        execute(program, 5)
        exporter.scrape()
        exporter.probe.detach()
        exporter.pipeline.evict()
        scraped = exporter.scrape()
        assert scraped.executions(tmp_path) == {}
        assert scraped.value("exec_exporter_map_entries", map="execs") == 0
        # what ran before still runs
        assert scraped.value("exec_exporter_map_entries", map="exits") <= len(list(Path("/proc").glob("[0-9]*")))
        assert not scraped.value("exec_exits_total", path=str(program))
        assert scraped.sum_is_exact()
