"""The whole service: time to the first counted execution, memory, CPU time per scrape, a million executions."""

import os
import re
import time
from pathlib import Path

import psutil

from tests.bench.measure import Progress, spread, table
from tests.kernel.command import COMMAND, served
from tests.kernel.pinned import bpffs, pinning, unpin
from tests.kernel.programs import execute, static_elf, storm

SCRAPES_OF_AN_HOUR = 240  # one every 15 s
PAUSE_SECONDS = 0.01


def service(directory, quick):
    """Return the table of figures of the service."""
    program = static_elf(directory / "canary")
    catalogue = f"--catalogue.path={directory}/catalogue.db"
    starts = [_start_to_first_count(program, catalogue) for _ in range(2 if quick else 7)]
    rows = [["start to first counted exec, s", spread(starts, "{:.2f}")]]
    anew, adopted = _starts_with_pins(directory, 2 if quick else 7)
    rows.append(["start to first scrape, pinning the probe, s", spread(anew, "{:.2f}")])
    rows.append(["start to first scrape, with the probe that is pinned, s", spread(adopted, "{:.2f}")])
    scrapes = 20 if quick else SCRAPES_OF_AN_HOUR
    with served(catalogue) as exporter:
        process = psutil.Process(exporter.process.pid)
        rows.append(["memory after start, MB: resident (anonymous, file), proportional", _memory(process.pid)])
        exporter.get()
        before, progress = sum(process.cpu_times()[:2]), Progress("scrapes", scrapes)
        for _ in range(scrapes):
            exporter.get()
            progress.step()
        used = (sum(process.cpu_times()[:2]) - before) * 1e3 / scrapes
        rows.append([f"the same after {scrapes} scrapes", _memory(process.pid)])
        rows.append(["CPU of a scrape over HTTP, ms", f"{used:.1f}"])
    return table("The service", ["", "median (middle half)"], rows)


def exact(directory, quick):
    """Return the table of a million executions, from as many processes at once as there are CPUs."""
    program, workers = static_elf(directory / "one-of-a-million"), os.cpu_count()
    each, parts = (1_000 if quick else 1_000_000) // workers // 100, 100
    with served(f"--catalogue.path={directory}/catalogue.db") as exporter:
        process, progress = psutil.Process(exporter.process.pid), Progress("executions, in hundredths", parts)
        before, started = sum(process.cpu_times()[:2]), time.monotonic()
        for _ in range(parts):
            storm([program], each, workers)
            progress.step()
        seconds, used = time.monotonic() - started, sum(process.cpu_times()[:2]) - before
        executed, counted = parts * each * workers, _counted(exporter, program)
    rows = [[f"{executed:,}", workers, f"{executed / seconds:,.0f}", executed - counted, f"{used / seconds:.2%}"]]
    head = ["executions", "processes that executed", "executions in a second", "missed", "CPU of the service"]
    return table("A million executions, counted by the service", head, rows)


def _counted(exporter, program):
    labels = rf'[^}}]*path="{re.escape(str(program))}"[^}}]*'
    found = re.search(rf"^exec_executions_total{{{labels}}} ([0-9.e+]+)$", exporter.get().decode(), re.MULTILINE)
    return int(float(found[1]))


def _starts_with_pins(directory, times):
    """Return seconds to the first scrape of a service that creates its pins, and of one that adopts them, in turns."""
    seconds = [], []
    with bpffs(directory / "bpf") as mounted:
        for _ in range(times):
            for found in seconds:
                started = time.monotonic()
                with pinning(mounted / "pins") as exporter:
                    exporter.get()
                    found.append(time.monotonic() - started)
            unpin(mounted / "pins")
    return seconds


def _start_to_first_count(program, catalogue):
    """Return seconds from a start to the first count, by the executions missed of a program that runs all the time."""
    import threading

    times, stop = [], threading.Event()

    def run():
        while not stop.is_set():
            times.append(time.monotonic())
            execute(program)
            time.sleep(PAUSE_SECONDS)

    started = time.monotonic()
    thread = threading.Thread(target=run)
    thread.start()
    try:
        with served(catalogue, command=COMMAND) as exporter:
            stop.set()
            thread.join()
            return times[len(times) - _counted(exporter, program)] - started
    finally:
        stop.set()


def _memory(pid):
    text = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii")
    kib = {name: int(size) for name, size in re.findall(r"^(\w+): +(\d+) kB", text, re.MULTILINE)}
    resident, anonymous, proportional = (kib[name] / 1024 for name in ("Rss", "Anonymous", "Pss"))
    return f"{resident:.0f} ({anonymous:.0f}, {resident - anonymous:.0f}), {proportional:.0f}"
