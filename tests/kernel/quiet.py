"""Windows without the activity of others, in which counts of the whole machine are exact."""

import time
from pathlib import Path

DEADLINE_SECONDS = 240


def while_nobody_else_executes(exporter, work, executions):
    """Do the work, of that many executions, until a window has no others; return the scrapes before and after it."""
    end = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < end:
        before = exporter.scrape()
        work()
        after = exporter.scrape()
        if grown(before, after, "exec_exporter_probe_runs_total") == executions:
            return before, after
    raise AssertionError("others execute programs here all the time")


def while_nobody_else_forks(exporter, work):
    """Do the work until nothing forks between a scrape and the reading of /proc/stat beside it.

    Returns the scrapes before and after it, and the forks that the kernel counted in between.
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
    """Return all forks, vforks and clones since boot, those of threads too."""
    stat = Path("/proc/stat").read_text()
    return next(int(line.split()[1]) for line in stat.splitlines() if line.startswith("processes "))


def grown(before, after, name, **labels):
    return after.value(name, **labels) - before.value(name, **labels)
