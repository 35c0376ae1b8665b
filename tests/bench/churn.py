"""The service beside programs that nobody has executed before: the cost of each, and the rate that it sustains."""

import os
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psutil

from tests.bench.measure import Progress, table
from tests.kernel.command import served
from tests.kernel.pinned import bpffs, unpin
from tests.kernel.programs import execute_as_new, static_elf

A_SECOND = 1000, 3000, 5000, None  # None: as fast as two processes can
PROGRAMS = 50_000
WORKERS = 2
SCRAPE_SECONDS = 1
LATE_SECONDS = 0.005
AT_REST_SECONDS = 3.0  # without CPU time


def churn(directory, quick):
    """Return the table of new programs, by executions per second."""
    program, programs = static_elf(directory / "program"), 5_000 if quick else PROGRAMS
    progress, rows = Progress("storms of new programs", len(A_SECOND)), []
    with bpffs(directory / "bpf") as mounted:
        for a_second in A_SECOND:
            pins, catalogue = mounted / "pins", directory / f"catalogue-{a_second}.db"
            with served(f"--bpf.pin-path={pins}", f"--catalogue.path={catalogue}") as service:
                rows.append(_storm(service, directory, program, programs, a_second))
            unpin(pins)
            progress.step()
    head = [
        "new programs in a second",
        "reached",
        "not counted",
        "CPU of the service for each, ms",
        "slowest scrape, s",
    ]
    return table(f"{programs:,} new programs, each executed once, from {WORKERS} processes", head, rows)


def _storm(service, directory, program, programs, a_second):
    process, before = psutil.Process(service.process.pid), _lost(service)[0]
    used = _cpu_at_rest(process)
    started, over = time.monotonic(), threading.Event()
    children = [_worker(directory, program, range(worker, programs, WORKERS), a_second) for worker in range(WORKERS)]
    with ThreadPoolExecutor() as pool:
        slowest = pool.submit(_scraped, service, over)
        assert [os.waitpid(child, 0)[1] for child in children] == [0] * WORKERS
        seconds = time.monotonic() - started
        over.set()
    cpu, lost = _cpu_at_rest(process) - used, _lost(service)[0] - before
    return [
        f"{a_second:,}" if a_second else "as many as can be",
        f"{programs / seconds:,.0f}",
        f"{lost / programs:.1%}",
        f"{cpu * 1e3 / programs:.2f}",
        f"{slowest.result():.1f}",
    ]


def _scraped(service, over):
    """Scrape every second until `over`; return the duration of the slowest scrape in seconds."""
    slowest = 0.0
    while not over.wait(SCRAPE_SECONDS):
        slowest = max(slowest, _lost(service)[1])
    return slowest


def _worker(directory, program, numbers, a_second):
    """Execute names of one file, each once, in a process of its own; a name is removed after its turn."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        started = time.monotonic()
        for turn, number in enumerate(numbers):
            late = started + turn * WORKERS / a_second - time.monotonic() if a_second else 0
            if late > LATE_SECONDS:
                time.sleep(late)
            execute_as_new(program, directory / f"program-{number}")
        status = 0
    finally:
        os._exit(status)


def _cpu_at_rest(process):
    """Return the CPU time of a process in seconds, once it is idle."""
    while True:
        before = sum(process.cpu_times()[:2])
        time.sleep(AT_REST_SECONDS)
        if sum(process.cpu_times()[:2]) - before < AT_REST_SECONDS / 100:
            return before


def _lost(service):
    """Return the executions that were not counted, and the duration of a scrape in seconds."""
    started = time.monotonic()
    text = service.get().decode()
    lost = re.findall(r"^exec_exporter_executions_lost_total{[^}]*} ([0-9.e+]+)$", text, re.MULTILINE)
    return sum(map(float, lost)), time.monotonic() - started
