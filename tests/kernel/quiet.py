"""Windows in which nobody else did what is counted for the whole machine: there the numbers have to be exact."""

import time
from pathlib import Path

DEADLINE_SECONDS = 240


def while_nobody_else_executes(exporter, work, executions):
    """Does the work, which is that many executions, until there were no others meanwhile; the scrapes around it."""
    end = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < end:
        before = exporter.scrape()
        work()
        after = exporter.scrape()
        if grown(before, after, "exec_exporter_probe_runs_total") == executions:
            return before, after
    raise AssertionError("others execute programs here all the time")


def while_nobody_else_forks(exporter, work):
    """Does the work until nothing forked between a scrape and the reading of /proc/stat beside it.

    Returns the scrapes around it, and the forks that the kernel itself has counted from one to the other.
    """
    end = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < end:
        forks = [forks_of_machine()]
        before = exporter.scrape()
        forks.append(forks_of_machine())
        work()
        forks.append(forks_of_machine())
        after = exporter.scrape()
        forks.append(forks_of_machine())
        if forks[0] == forks[1] and forks[2] == forks[3]:
            return before, after, forks[3] - forks[0]
    raise AssertionError("others fork here all the time")


def forks_of_machine():
    """All forks, vforks and clones since boot, of threads too."""
    stat = Path("/proc/stat").read_text()
    return next(int(line.split()[1]) for line in stat.splitlines() if line.startswith("processes "))


def grown(before, after, name, **labels):
    return after.value(name, **labels) - before.value(name, **labels)
