"""What ran before the probe was attached: put into the map of processes, so that its end is seen."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from exporter.escape import escape
from exporter.events.labels import UNKNOWN
from exporter.host.procfs import sees_all

log = logging.getLogger(__name__)

FIRST = 1 << 63  # of the numbers for programs; the probe gives none as high
PASSES = 5
KTHREADD = 2

Put = Callable[[int, int], bool]
Remove = Callable[[int], None]


def seed(put: Put, remove: Remove) -> dict[int, str]:
    """Gives each process that runs a program by number; returns the paths by these numbers.

    `put(pid, program)` says false for a process that the probe knows by now. The probe is attached: what is started
    meanwhile it sees, but not the child of a process that is not put in yet. So all are gone through until there are
    no new ones. Raises OSError, as for a full map.
    """
    if not sees_all():
        log.warning("not in the host's PID namespace: programs that run already are unknown until they execute others")
        return {}
    programs: dict[str, int] = {}
    first = FIRST + time.monotonic_ns()  # none of which another process has given before
    for _ in range(PASSES):
        if not sum(_put(process, programs, put, remove, first) for process in psutil.process_iter()):
            break
    return {program: path for path, program in programs.items()}


def _put(process: psutil.Process, programs: dict[str, int], put: Put, remove: Remove, first: int) -> bool:
    try:
        if KTHREADD in (process.pid, process.ppid()):
            return False
        path = path_of(process.pid)
        if path is None or not put(process.pid, programs.setdefault(path, first + len(programs))):
            return False
        if not process.is_running():  # it may have ended before it was put in
            remove(process.pid)
    except psutil.NoSuchProcess:
        return False
    return True


def path_of(pid: int) -> str | None:
    """The path label of the program that a process runs; None: it has none, or is gone."""
    try:
        exe = os.fsencode(Path(f"/proc/{pid}/exe").readlink())
    except PermissionError:
        return UNKNOWN
    except OSError:
        return None
    if exe.startswith(b"/memfd:"):
        return "[memfd]"
    return "[deleted]" if exe.endswith(b" (deleted)") else escape(exe)
