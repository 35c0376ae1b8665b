"""The readers of the maps of processes and lives, fed with maps that are written by hand."""

from tests.unit.maps import SECOND, ExitStats, Maps, Process, processes_of

SEED = 1 << 63


def rows(processes):
    return {path: tuple(row) for path, row in processes.totals.rows.items()}


def row(success=0, failure=0, signal=0, lifetime_us=0, **buckets):
    return (success, failure, signal, lifetime_us, *(buckets.get(f"b{n}", 0) for n in range(10)))


def test_exits_and_lifetimes_are_added_up_by_path():
    maps = Maps()
    executions, processes = processes_of(maps)
    for pid, (outcome, lifetime_us, bucket) in enumerate([(0, 10, 0), (0, 20, 1), (1, 30, 1), (2, 40, 9)]):
        maps.execute(1, pid=pid)
        maps.end(pid, outcome, lifetime_us, bucket)
        executions.update()
        processes.update()
    assert rows(processes) == {"/program-1": row(2, 1, 1, 100, b0=1, b1=2, b9=1)}
    assert processes.running.rows == {}


def test_what_runs_is_what_the_map_of_processes_has():
    maps = Maps()
    executions, processes = processes_of(maps, seeds={SEED: "/usr/sbin/init"})
    maps.maps["processes"][b"\1\0\0\0"] = Process(0, SEED)
    maps.execute(1, pid=2)
    maps.execute(1, pid=3)
    executions.update()
    processes.update()
    assert processes.running.rows == {"/usr/sbin/init": 1, "/program-1": 2}
    maps.end(2)
    processes.update()
    assert processes.running.rows == {"/usr/sbin/init": 1, "/program-1": 1}


def test_a_program_that_came_after_the_executions_were_read_has_its_name():
    maps = Maps()
    executions, processes = processes_of(maps)
    executions.update()
    maps.execute(1, pid=2)
    maps.execute(2, pid=3)
    maps.end(3)
    processes.update()
    assert processes.running.rows == {"/program-1": 1}
    assert rows(processes) == {"/program-2": row(1, lifetime_us=1, b0=1)}


def test_the_process_of_an_execution_that_was_lost_is_unknown():
    maps = Maps()
    _, processes = processes_of(maps)
    maps.maps["processes"][b"\1\0\0\0"] = Process(5, 0)
    processes.update()
    assert processes.running.rows == {"unknown": 1}


def test_sums_of_the_kernel_that_go_round_go_on():
    maps = Maps()
    executions, processes = processes_of(maps)
    maps.execute(1)
    life = maps.maps["exits"][(2).to_bytes(8, "little")] = ExitStats(lifetime_us=(1 << 64) - 5)
    executions.update()
    processes.update()
    life.lifetime_us = 5
    processes.update()
    assert rows(processes)["/program-1"][3] == (1 << 64) + 5


def test_a_life_is_taken_out_once_nobody_knows_its_program_and_stays_counted():
    maps = Maps()
    _, processes = processes_of(maps, idle_seconds=10)
    maps.execute(1, pid=1)
    maps.execute(1, pid=2)
    maps.end(1)
    maps.now = 11 * SECOND
    processes.evict()
    assert maps.maps["execs"] == {}
    assert len(maps.maps["exits"]) == 1, "it still runs"
    maps.end(2)
    processes.evict()
    assert maps.maps["exits"] == {}
    assert rows(processes) == {"/program-1": row(2, lifetime_us=2, b0=2)}
    assert processes.entries == {"processes": 0, "exits": 0}


def test_what_ended_unseen_does_not_run_for_ever():
    maps, dead = Maps(), set()
    _, processes = processes_of(maps, is_dead=dead.__contains__)
    for pid in (1, 2, 3):
        maps.execute(1, pid=pid)
    dead |= {1, 3}
    processes.evict()
    assert processes.running.rows == {"/program-1": 3}, "nobody has said that an end was not seen"
    maps.counts["COUNTER_EXITS_LOST"] += 1
    processes.evict()
    assert processes.running.rows == {"/program-1": 1}
    dead.add(2)
    processes.evict()
    assert processes.running.rows == {"/program-1": 1}


def test_idle_paths_end():
    maps = Maps()
    executions, processes = processes_of(maps, idle_seconds=10)
    maps.execute(1, pid=1)
    maps.end(1)
    maps.execute(2, pid=2)
    processes.evict()
    maps.now = 11 * SECOND
    processes.evict()
    assert rows(processes) == {}
    assert processes.running.rows == {"/program-2": 1}
    assert executions.limit.used == 1


def test_paths_for_which_there_is_no_room_are_other():
    maps = Maps()
    executions, processes = processes_of(maps, limit=6)  # one execution, one path with four label sets, one that runs
    for number in range(3):
        maps.execute(number, pid=number)
        maps.end(number)
        executions.update()
        processes.update()
    assert rows(processes) == {"/program-0": row(1, lifetime_us=1, b0=1), "other": row(2, lifetime_us=2, b0=2)}
    assert executions.limit.used <= 6
