import os
import subprocess
from pathlib import Path

import psutil
import pytest

from exporter.host.procfs import TICK_NS, Process, directory, is_dead, read, sees_all

FIELD_22 = 22 - 3  # of /proc/<pid>/stat, after the name and its parenthesis


@pytest.fixture
def child():
    with subprocess.Popen(["sleep", "infinity"]) as process:
        yield process
        process.kill()


def start_time(pid):
    """Return the start time of a process in ns since boot, at some moment within its tick."""
    ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[FIELD_22]
    return int(ticks) * TICK_NS + TICK_NS // 3


def test_a_process_is_found_by_pid_and_start_time(child):
    with directory(Process(child.pid, start_time(child.pid))) as opened:
        assert os.readlink("exe", dir_fd=opened) == psutil.Process(child.pid).exe()
        assert read(opened, "comm") == b"sleep\n"


def test_a_pid_is_enough_if_the_start_time_is_unknown(child):
    with directory(Process(child.pid)) as opened:
        assert read(opened, "comm") == b"sleep\n"


@pytest.mark.parametrize("ticks", [-1, 1])
def test_another_process_with_the_same_pid_is_not_taken_for_it(child, ticks):
    with directory(Process(child.pid, start_time(child.pid) + ticks * TICK_NS)) as opened:
        assert opened is None


def test_a_process_that_has_ended_has_no_directory(child):
    process = Process(child.pid, start_time(child.pid))
    child.kill()
    child.wait()
    with directory(process) as opened:
        assert opened is None


def test_a_process_that_ends_meanwhile_shows_nothing_more(child):
    with directory(Process(child.pid)) as opened:
        child.kill()
        child.wait()
        with pytest.raises(ProcessLookupError):
            read(opened, "stat")


def test_pid_0_is_no_process():
    with directory(Process()) as opened:
        assert opened is None


@pytest.mark.parametrize("stat", [b"", b"17 (x) S 1 2", b"17 (x) S" + b" x" * 30])
def test_a_stat_that_makes_no_sense_is_no_process(tmp_path, stat):
    (tmp_path / "17").mkdir()
    (tmp_path / "17/stat").write_bytes(stat)
    with directory(Process(17, TICK_NS), str(tmp_path)) as opened:
        assert opened is None


def test_nothing_stays_open(child):
    before = sorted(Path("/proc/self/fd").iterdir())
    for process in (Process(child.pid), Process(child.pid, TICK_NS), Process()):
        with directory(process):
            pass
    assert sorted(Path("/proc/self/fd").iterdir()) == before


def test_only_in_the_hosts_pid_namespace_a_process_is_known_to_be_dead(child):
    assert not is_dead(child.pid)
    child.kill()
    child.wait()
    assert is_dead(child.pid) == sees_all()
