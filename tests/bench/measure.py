"""What the benchmarks share: statistics of BPF programs, medians with their spread, progress."""

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
    """Has the kernel time BPF programs, and leaves it as it was."""
    before = STATISTICS.read_text("ascii")
    STATISTICS.write_text("1")
    try:
        yield
    finally:
        STATISTICS.write_text(before)


@contextmanager
def pinned():
    """Keeps this process and what it starts on one CPU."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def undisturbed():
    """Lets no other task run on the CPU while this process or what it starts could."""
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def run_statistics(descriptor):
    """Time in a program, in ns, and how often it ran."""
    lines = Path(f"/proc/self/fdinfo/{descriptor}").read_text("ascii").splitlines()
    fields = dict(line.split(":\t", 1) for line in lines)
    return int(fields["run_time_ns"]), int(fields["run_cnt"])


def spread(values, form="{:.0f}"):
    """The median of values and the middle half of them, as text."""
    if len(values) < 2:
        return form.format(values[0]) if values else "-"
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{form.format(middle)} ({form.format(low)} to {form.format(high)})"


def table(title, head, rows):
    """A table in Markdown, below its title."""
    lines = [f"**{title}**", "", f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return "\n".join([*lines, *(f"| {' | '.join(map(str, row))} |" for row in rows), ""])


class Progress:
    """One line on a terminal, for what takes more than two seconds."""

    def __init__(self, what, total):
        self._what, self._total, self._done = what, total, 0
        self._started = time.monotonic()

    def step(self):
        self._done += 1
        if sys.stderr.isatty() and time.monotonic() - self._started > SHOWN_AFTER_SECONDS:
            end = "\n" if self._done == self._total else ""
            print(f"\r{self._what}: {self._done} of {self._total} ", end=end, file=sys.stderr, flush=True)
