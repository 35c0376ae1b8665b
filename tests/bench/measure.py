"""Shared by the benchmarks: statistics of BPF programs, medians with their spread, progress."""

import os
import statistics
import sys
import time
from contextlib import contextmanager
from pathlib import Path

STATISTICS = Path("/proc/sys/kernel/bpf_stats_enabled")
SHOWN_AFTER_SECONDS = 2


@contextmanager
def bpf_statistics():
    """Enable the kernel's statistics of BPF programs; restore the setting at the end."""
    before = STATISTICS.read_text("ascii")
    STATISTICS.write_text("1")
    try:
        yield
    finally:
        STATISTICS.write_text(before)


@contextmanager
def pinned():
    """Keep this process and its children on one CPU."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def undisturbed():
    """Keep other tasks off the CPU while this process or a child of it could run."""
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def run_statistics(descriptor):
    """Return the time in a program in ns, and the number of its runs."""
    lines = Path(f"/proc/self/fdinfo/{descriptor}").read_text("ascii").splitlines()
    fields = dict(line.split(":\t", 1) for line in lines)
    return int(fields["run_time_ns"]), int(fields["run_cnt"])


def spread(values, form="{:.0f}"):
    """Return the median and the interquartile range of values, as text."""
    if len(values) < 2:
        return form.format(values[0]) if values else "-"
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{form.format(middle)} ({form.format(low)} to {form.format(high)})"


def table(title, head, rows):
    """Return a table in Markdown, below its title."""
    lines = [f"**{title}**", "", f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return "\n".join([*lines, *(f"| {' | '.join(map(str, row))} |" for row in rows), ""])


class Progress:
    """A line of progress on a terminal, for work of more than two seconds."""

    def __init__(self, what, total):
        self._what, self._total, self._done = what, total, 0
        self._started = time.monotonic()

    def step(self):
        self._done += 1
        if sys.stderr.isatty() and time.monotonic() - self._started > SHOWN_AFTER_SECONDS:
            end = "\n" if self._done == self._total else ""
            print(f"\r{self._what}: {self._done} of {self._total} ", end=end, file=sys.stderr, flush=True)
