"""Processes that ran before the probe was attached: put into its map, so that it sees their exits."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path

import psutil

from exporter.compiler.ctypes_layout import u64_reader
from exporter.escape import escape
from exporter.events.labels import UNKNOWN, Labels
from exporter.host.clocks import boot_ns
from exporter.host.procfs import sees_all
from exporter.probe.probe import Probe

log = logging.getLogger(__name__)

FIRST = 1 << 63  # program number; the probe gives none as high
PASSES = 5
KTHREADD = 2

Put = Callable[[int, int], bool]
Remove = Callable[[int], None]


def seed_processes(probe: Probe, rules: Callable[[Labels], Labels]) -> dict[int, str]:
    """Put all running processes into the map of processes; return the paths, as shown, by program number.

    Those that another exporter has put there are removed first.
    """
    processes = probe.maps["processes"]
    layout = probe.structs["processes"]
    program = u64_reader(layout, "program")
    for key in [key for key, value in probe.entries("processes") if program(value) >= FIRST]:
        processes.remove(key)

    def put(pid: int, program: int) -> bool:
        return processes.put(_key(pid), bytes(layout(program=program)), new=True)

    try:
        paths = seed(put, lambda pid: processes.remove(_key(pid)))
    except OSError as error:
        log.warning("not all running processes fit into the map of processes: %s", error.strerror)
        return {}
    return {program: rules(Labels(path, "", "")).path for program, path in paths.items()}


def _key(pid: int) -> bytes:
    return pid.to_bytes(4, sys.byteorder)


def seed(put: Put, remove: Remove) -> dict[int, str]:
    """Assign numbers to running programs; return their paths by number.

    `put(pid, program)` returns False for a process that the probe knows already. The probe is attached and sees
    processes that start meanwhile, but not the children of a process before that is put in. So repeat until there are
    no new ones. Raise OSError, for example for a full map.
    """
    if not sees_all():
        log.warning("not in the host's PID namespace: running programs are unknown until they execute others")
        return {}
    programs: dict[str, int] = {}
    first = FIRST + boot_ns()  # no process has used these numbers before
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
    except psutil.Error:  # gone, or hidden from this user
        return False
    return True


def path_of(pid: int) -> str | None:
    """Return the path label of the program that a process runs; None if it has none, or is gone."""
    try:
        exe = os.fsencode(Path(f"/proc/{pid}/exe").readlink())
    except PermissionError:
        return UNKNOWN
    except OSError:
        return None
    if exe.startswith(b"/memfd:"):
        return "[memfd]"
    return "[deleted]" if exe.endswith(b" (deleted)") else escape(exe)
