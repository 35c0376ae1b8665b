"""Exits, lifetimes and running processes by path, from the real pipeline over hand-written maps."""

import os
import subprocess

import pytest

from exporter.metrics import definitions
from tests.unit.maps import SECOND, ExitStats, Maps, Process, family, pipeline_of

SEED = 1 << 63


def rows(pipeline):
    """Return exits by outcome, the sum of lifetimes in microseconds and their buckets, by path."""
    exits, lifetimes = family(pipeline, definitions.EXITS), family(pipeline, definitions.LIFETIME)
    outcomes = definitions.EXITS.values["outcome"]
    return {
        path: (*(exits[path, outcome] for outcome in outcomes), round(seconds * 1e6), *buckets)
        for (path,), (*buckets, seconds) in lifetimes.items()
    }


def running(pipeline):
    return {path: number for (path,), number in family(pipeline, definitions.RUNNING).items()}


def row(success=0, failure=0, signal=0, crash=0, lifetime_us=0, **buckets):
    return (success, failure, signal, crash, lifetime_us, *(buckets.get(f"b{n}", 0) for n in range(10)))


def test_exits_and_lifetimes_are_added_up_by_path():
    maps = Maps()
    pipeline = pipeline_of(maps)
    for pid, (outcome, lifetime_us, bucket) in enumerate([(0, 10, 0), (0, 20, 1), (1, 30, 1), (2, 40, 9), (3, 0, 9)]):
        maps.execute(1, pid=pid)
        maps.end(pid, outcome, lifetime_us, bucket)
        pipeline.update()
    assert rows(pipeline) == {"/program-1": row(2, 1, 1, 1, 100, b0=1, b1=2, b9=2)}
    assert running(pipeline) == {}


def test_running_processes_are_those_in_the_map():
    maps = Maps()
    pipeline = pipeline_of(maps, seeds={SEED: "/usr/sbin/init"})
    maps.maps["processes"][b"\1\0\0\0"] = Process(0, SEED)
    maps.execute(1, pid=2)
    maps.execute(1, pid=3)
    pipeline.update()
    assert running(pipeline) == {"/usr/sbin/init": 1, "/program-1": 2}
    maps.end(2)
    pipeline.update()
    assert running(pipeline) == {"/usr/sbin/init": 1, "/program-1": 1}


def test_a_program_that_came_after_the_executions_were_read_has_its_name():
    maps = Maps()
    pipeline = pipeline_of(maps)
    pipeline.collectors["executions"]()
    maps.execute(1, pid=2)
    maps.execute(2, pid=3)
    maps.end(3)
    exits, _, runs = pipeline.collectors["processes"]()
    assert runs.rows == {("/program-1",): 1}
    assert exits.rows["/program-2", "success"] == 1


def test_the_process_of_an_execution_that_was_lost_is_unknown():
    maps = Maps()
    pipeline = pipeline_of(maps)
    maps.maps["processes"][b"\1\0\0\0"] = Process(5, 0)
    pipeline.update()
    assert running(pipeline) == {"unknown": 1}


def test_sums_of_the_kernel_that_wrap_around_continue():
    maps = Maps()
    pipeline = pipeline_of(maps)
    maps.execute(1)
    stats = maps.maps["exits"][(2).to_bytes(8, "little")] = ExitStats(lifetime_us=(1 << 64) - 5_000_000)
    before = family(pipeline, definitions.LIFETIME)["/program-1",]
    stats.lifetime_us = 5_000_000
    after = family(pipeline, definitions.LIFETIME)["/program-1",]
    assert after[-1] - before[-1] == pytest.approx(10, abs=0.01)


def test_exit_statistics_are_removed_once_nobody_needs_their_program_and_stay_counted():
    maps = Maps()
    pipeline = pipeline_of(maps, idle_seconds=10)
    maps.execute(1, pid=1)
    maps.execute(1, pid=2)
    maps.end(1)
    maps.now = 11 * SECOND
    pipeline.evict()
    assert maps.maps["execs"] == {}
    assert len(maps.maps["exits"]) == 1, "it still runs"
    maps.end(2)
    pipeline.evict()
    assert maps.maps["exits"] == {}
    assert rows(pipeline) == {"/program-1": row(2, lifetime_us=2, b0=2)}
    assert family(pipeline, definitions.MAP_ENTRIES) == {("execs",): 0, ("processes",): 0, ("exits",): 0}


def test_a_process_that_ended_unseen_is_removed():
    maps, never = Maps(), 1 << 23  # greater than any pid
    pipeline = pipeline_of(maps)
    child = subprocess.Popen(["sleep", "60"])
    for pid in (os.getpid(), child.pid, never):
        maps.execute(1, pid=pid)
    pipeline.evict()
    assert running(pipeline) == {"/program-1": 3}, "no exit was missed"
    maps.counts["COUNTER_EXITS_LOST"] += 1
    pipeline.evict()
    assert running(pipeline) == {"/program-1": 2}
    child.kill()
    child.wait()
    pipeline.evict()
    assert running(pipeline) == {"/program-1": 2}
    maps.counts["COUNTER_EXITS_LOST"] += 1
    pipeline.evict()
    assert running(pipeline) == {"/program-1": 1}


def test_idle_paths_end():
    maps = Maps()
    pipeline = pipeline_of(maps, idle_seconds=10)
    maps.execute(1, pid=1)
    maps.end(1)
    maps.execute(2, pid=2)
    pipeline.evict()
    maps.now = 11 * SECOND
    pipeline.evict()
    assert rows(pipeline) == {}
    assert running(pipeline) == {"/program-2": 1}
    assert family(pipeline, definitions.SERIES)[()] == 1


def test_paths_for_which_there_is_no_room_are_other():
    maps = Maps()
    pipeline = pipeline_of(maps, limit=6)  # one execution, one path with four label sets, one running process
    for number in range(3):
        maps.execute(number, pid=number)
        maps.end(number)
        pipeline.update()
    assert rows(pipeline) == {"/program-0": row(1, lifetime_us=1, b0=1), "other": row(2, lifetime_us=2, b0=2)}
    assert family(pipeline, definitions.SERIES)[()] <= 6
