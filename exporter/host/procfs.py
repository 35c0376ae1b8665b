"""A process as /proc shows it. It may have ended, and another process may have its pid since."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from exporter.host.clocks import namespace_offset_ns

INIT_PID_NAMESPACE = "pid:[4026531836]"  # PROC_PID_INIT_INO, include/linux/proc_ns.h
TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
START_TIME = 19  # field 22 of /proc/<pid>/stat, counted from the state, which is field 3


@dataclass(frozen=True)
class Process:
    """A process at one execution. 0 stands for unknown.

    `start_time` distinguishes it from other processes with its pid; `time` is that of the execution. Both are in ns
    since boot. `parent` is a pid.
    """

    pid: int = 0
    start_time: int = 0
    time: int = 0
    parent: int = 0


NOBODY = Process()


def sees_all() -> bool:
    """Return True in the host's PID namespace, where pids mean the same as in the probe."""
    return str(Path("/proc/self/ns/pid").readlink()) == INIT_PID_NAMESPACE


def is_dead(pid: int) -> bool:
    """Return True if this host has no such process; False if unknown, as outside of the host's PID namespace."""
    return sees_all() and not psutil.pid_exists(pid)


@contextmanager
def directory(process: Process, proc: str = "/proc") -> Iterator[int | None]:
    """Open the directory of a process in /proc: a descriptor, or None if the process has ended.

    Look-ups through the descriptor fail once the process has ended, even if its pid belongs to another one then.
    """
    with ExitStack() as stack:
        opened = None
        with suppress(OSError):
            opened = os.open(f"{proc}/{process.pid}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            stack.callback(os.close, opened)
        yield opened if opened is not None and _same(opened, process) else None


def read(directory_fd: int, name: str) -> bytes:
    """Return the first 4 KiB of a file in a process's directory. Raise OSError."""
    file = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory_fd)
    try:
        return os.read(file, 4096)
    finally:
        os.close(file)


def _same(directory_fd: int, process: Process) -> bool:
    try:
        started = int(read(directory_fd, "stat").rpartition(b")")[2].split()[START_TIME])
    except (OSError, IndexError, ValueError):
        return False
    return not process.start_time or started == (process.start_time + namespace_offset_ns()) // TICK_NS
