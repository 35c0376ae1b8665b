"""Looks into /proc/<pid> of a process that may have ended, and whose number may have been given to another one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

INIT_PID_NAMESPACE = "pid:[4026531836]"  # PROC_PID_INIT_INO, include/linux/proc_ns.h
TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
START_TIME = 19  # field 22 of /proc/<pid>/stat, counted from the state, which is field 3


def sees_all() -> bool:
    """Whether this process is in the host's PID namespace, so that numbers of processes mean what the probe's mean."""
    return str(Path("/proc/self/ns/pid").readlink()) == INIT_PID_NAMESPACE


def is_dead(pid: int) -> bool:
    """Whether there is no process of that number on this host, as far as that can be told from here."""
    return sees_all() and not psutil.pid_exists(pid)


@contextmanager
def directory(process: Process, proc: str = "/proc") -> Iterator[int | None]:
    """A descriptor of the process's directory in /proc, or None where it has ended.

    What is looked up through it is this process's: once it has ended that fails, whoever has its number then.
    """
    try:
        opened = os.open(f"{proc}/{process.pid}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC) if process.pid else None
    except OSError:
        opened = None
    if opened is None:
        yield None
        return
    try:
        yield opened if _same(opened, process) else None
    finally:
        os.close(opened)


def _same(opened: int, process: Process) -> bool:
    try:
        started = int(read(opened, "stat").rpartition(b")")[2].split()[START_TIME])
    except (OSError, IndexError, ValueError):
        return False
    return not process.start_time or started == process.start_time // TICK_NS


def read(opened: int, name: str) -> bytes:
    """The beginning of a small file of the directory. Raises OSError."""
    file = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=opened)
    try:
        return os.read(file, 4096)
    finally:
        os.close(file)


@dataclass(frozen=True)
class Process:
    """Who executed it, and when: `start_time` tells it from others that had its pid. 0 is unknown.

    Times are in ns since boot; `parent` is a pid.
    """

    pid: int = 0
    start_time: int = 0
    time: int = 0
    parent: int = 0


NOBODY = Process()
