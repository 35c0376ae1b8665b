"""Clocks that the kernel stamps with, as the host sees them.

In a time namespace CLOCK_BOOTTIME and /proc have an offset that stamps of the kernel do not have (Linux 5.6).
"""

from __future__ import annotations

import functools
import time
from pathlib import Path

INITIAL = "time:[4026531834]"  # PROC_TIME_INIT_INO, include/linux/proc_ns.h
ATTEMPTS = 5  # the thread may be preempted between two readings


def boot_ns() -> int:
    """Return the time since boot in ns, as bpf_ktime_get_boot_ns() does."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) - namespace_offset_ns()


def boot_time_ns() -> int:
    """Return the time of boot in ns since the epoch, by the clock as it is set now."""
    return min(_boot_time() for _ in range(ATTEMPTS))[1]


def _boot_time() -> tuple[int, int]:
    """Return the time that three readings took and the time of boot by them, in ns."""
    before, wall, after = boot_ns(), time.time_ns(), boot_ns()
    return after - before, wall - (before + after) // 2


@functools.cache
def namespace_offset_ns(process: Path = Path("/proc/self")) -> int:
    """Return what this process's time namespace adds to the time since boot, in ns."""
    try:
        if str((process / "ns/time").readlink()) == INITIAL:
            return 0
        lines = (process / "timens_offsets").read_text("ascii").splitlines()
    except FileNotFoundError:  # the kernel has no time namespaces
        return 0
    seconds, nanoseconds = next(line.split()[1:] for line in lines if line.startswith("boottime"))
    return int(seconds) * 1_000_000_000 + int(nanoseconds)
