"""With more programs, processes and forks than there is room for, sums stay exact and memory stays bounded."""

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
FEW = 32  # the stressors, their parents, and operations that were under way at the end
PROGRAMS = repetitions(20_000, exhaustive=50_000)
WORKERS = 2
STEP = 100
ENTRIES = repetitions(16_384, exhaustive=32_768)  # of the map, fewer than programs
SPARE = 2000  # entries for programs of other processes
NO_ROOM_SECONDS = 60
FOLDED = ("exec_exporter_executions_folded_total", "exec_exporter_executions_expired_total")


def stress(directory, *stressors):
    """Run stress-ng as nobody, which its exec stressor requires; return the operations that it reports, by stressor."""
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
    _, title, metrics = report.read_text().partition("metrics:\n")  # the text above is not always YAML
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
    assert scraped.value("exec_executions_total", path=path) > 0
    assert min(done.values()) > 0
    # each of its operations is a process of stress-ng; there are few others
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
    """Execute one file by PROGRAMS names, each once, from WORKERS processes; a name is removed after its turn.

    A worker reads a byte from `allowed`, the other end of `allow`, before each STEP programs.
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


def test_more_programs_than_the_map_has_room_for(tmp_path):
    """Each is deleted after its execution; none is executed before the map has room for it."""
    limit = 1000
    with running(SeriesOptions(limit=limit), map_entries=ENTRIES) as exporter, pipe() as (allowed, allow):
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
    # memory is needed for keys in the map, and not for evicted ones
    assert max(memory) - memory[0] < ENTRIES * BYTES_PER_KEY
    late = len(memory) // 4
    assert max(memory[-late:]) - max(memory[:-late]) < 16 << 20


def test_programs_that_come_and_go_stay_exact(tmp_path):
    """Keys are evicted from the map while their programs are executed again, as fast as possible."""
    programs = [static_elf(tmp_path / f"elf-{number}", salt=bytes([number])) for number in range(7)]
    with running(SeriesOptions(idle_seconds=0.001)) as exporter:
        for turn in range(300):
            execute(programs[turn % 7])
            if turn % 3 == 0:
                exporter.pipeline.evict()
        exporter.probe.detach()
        exporter.pipeline.evict()
        scraped = exporter.scrape()
    assert scraped.value("exec_exporter_executions_expired_total") > 0
    assert scraped.sum_is_exact()


def test_an_entry_that_was_removed_and_comes_back_has_a_later_beginning(tmp_path):
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
    assert found[0] == found[1], "the same program"


def test_idle_programs_are_evicted_from_every_map(tmp_path):
    program = static_elf(tmp_path / "static")
    with running(SeriesOptions(idle_seconds=0.001)) as exporter:
        execute(program, 5)
        exporter.scrape()
        exporter.probe.detach()
        exporter.pipeline.evict()
        scraped = exporter.scrape()
        assert scraped.executions(tmp_path) == {}
        assert scraped.value("exec_exporter_map_entries", map="execs") == 0
        # processes that ran before still run
        assert scraped.value("exec_exporter_map_entries", map="exits") <= len(list(Path("/proc").glob("[0-9]*")))
        assert not scraped.value("exec_exits_total", path=str(program))
        assert scraped.sum_is_exact()
