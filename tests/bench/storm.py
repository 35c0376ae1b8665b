"""What an observer costs a storm of executions, what it uses itself, and what it misses.

Blocks of executions follow each other: without an observer, with one, without, with the next, and so on; each is
compared with the blocks around it. The first row is a block without an observer compared likewise: what noise does.
"""

import itertools
import os
import re
import signal
import statistics
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.bench import packages
from tests.bench.measure import Progress, pinned, spread, table
from tests.kernel.command import served
from tests.kernel.programs import execute, static_elf

TRACEFS = Path("/sys/kernel/tracing")
READY_SECONDS, DEADLINE_SECONDS = 2, 30
BY_COMM = "tracepoint:sched:sched_process_exec { @[comm] = count(); }"


class Observer:
    """`start()` runs it and gives its pid; afterwards `seen(output)` tells how many executions it knew of."""

    def __init__(self, name, start, seen):
        self.name, self.start, self.seen = name, start, seen


@contextmanager
def tracefs():
    """Mounted where tools look for it; unmounted if it was not."""
    mounted = (TRACEFS / "events").exists()
    if not mounted:
        subprocess.run(["mount", "-t", "tracefs", "tracefs", TRACEFS], check=True)
    try:
        yield
    finally:
        if not mounted:
            subprocess.run(["umount", TRACEFS], check=False)


@contextmanager
def _tool(arguments, environment, output):
    """A tool that is running, and has had time to attach; it is ended as a user would, with SIGINT."""
    with output.open("wb") as file:
        process = subprocess.Popen(
            arguments, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT
        )
        try:
            time.sleep(READY_SECONDS)  # none of them says when it is ready
            if process.poll() is not None:
                raise OSError(output.read_text("utf-8", "replace")[-300:].strip() or "it ended at once")
            yield process.pid
            time.sleep(READY_SECONDS / 2)  # what is on its way
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(DEADLINE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _lines_with(name):
    return lambda output: len(re.findall(rf"\b{name}\b", output.read_text("utf-8", "replace")))


def observers(directory, name):
    """The observers that can be had here, and why others cannot."""

    @contextmanager
    def exec_exporter():
        with served() as exporter:
            yield exporter.process.pid
            (directory / "exec_exporter").write_bytes(exporter.get())

    def counted(output):
        found = re.findall(
            rf'^exec_executions_total{{[^}}]*/{name}"[^}}]*}} ([0-9.]+)', output.read_text(), re.MULTILINE
        )
        return sum(float(value) for value in found)

    def by_comm(output):
        found = re.search(rf"@\[{name}\]: (\d+)", output.read_text("utf-8", "replace"))
        return int(found[1]) if found else 0

    def recorded(_):
        script = subprocess.run(
            ["perf", "script", "-i", directory / "perf.data", "-F", "comm,event"],
            capture_output=True,
            text=True,
            check=False,
        )
        return len(re.findall(rf"^ *{name}\b", script.stdout, re.MULTILINE))

    tools = {
        "bpftrace, counting by comm": ("bpftrace", "bpftrace", ["-e", BY_COMM], by_comm),
        "bpftrace's execsnoop.bt": ("bpftrace", "execsnoop.bt", [], _lines_with(name)),
        "libbpf-tools' execsnoop": ("libbpf-tools", "execsnoop", [], _lines_with(name)),
        "perf record": (
            "linux-perf",
            "perf",
            ["record", "-a", "-q", "-e", "sched:sched_process_exec", "-o", str(directory / "perf.data")],
            recorded,
        ),
        "forkstat": ("forkstat", "forkstat", ["-e", "exec"], _lines_with(name)),
    }
    yield Observer("exec_exporter", exec_exporter, counted)
    for title, (package, command, arguments, seen) in tools.items():
        root = packages.unpacked(package)
        path = packages.command(root, command)
        environment = packages.environment(root)
        if path and path.suffix == ".bt":
            arguments, path = [str(path)], packages.command(root, "bpftrace")
        if path is None:
            continue

        def start(path=path, arguments=arguments, environment=environment, title=title):
            return _tool([path, *arguments], environment, directory / title)

        yield Observer(title, start, seen)


def block(program, executions):
    """Seconds that so many executions take."""
    with pinned():
        started = time.perf_counter()
        execute(program, executions, arguments=(program.name.encode(),))
        return time.perf_counter() - started


def storm(directory, quick):
    """The table of slowdowns, of CPU used, and of executions missed."""
    name = f"storm-{os.getpid()}"[:15]
    program = static_elf(directory / name)
    rounds, blocks, executions = (1, 2, 200) if quick else (4, 12, 400)
    rows = []
    with tracefs():
        found = list(observers(directory, name))
        progress = Progress("storm", rounds * len(found) * blocks)
        without, ratios, used, missed, failed = [], {}, {}, {}, {}
        for _ in range(rounds):
            for observer in found:
                baseline = [block(program, executions) for _ in range(blocks)]
                without += [b / a for a, b in itertools.pairwise(baseline)]
                try:
                    with observer.start() as pid:
                        process = psutil.Process(pid)
                        cpu, times = _cpu(process), []
                        for _ in range(blocks):
                            times.append(block(program, executions))
                            progress.step()
                        used.setdefault(observer.name, []).append((_cpu(process) - cpu) / sum(times) * 100)
                    after = statistics.median(block(program, executions) for _ in range(blocks))
                    around = (statistics.median(baseline) + after) / 2
                    ratios.setdefault(observer.name, []).extend(time / around for time in times)
                    seen = observer.seen(directory / observer.name)
                    missed.setdefault(observer.name, []).append(1 - min(1, seen / (blocks * executions)))
                except (OSError, psutil.Error) as error:
                    failed[observer.name] = str(error).splitlines()[0]
    rows.append(["nothing, compared with nothing", spread(without, "{:.3f}"), "", ""])
    for observer in found:
        title = observer.name
        if title in ratios:
            lost = f"{statistics.mean(missed[title]):.2%}"
            rows.append([title, spread(ratios[title], "{:.3f}"), f"{statistics.median(used[title]):.1f} %", lost])
        else:
            rows.append([title, f"does not run here: {failed[title]}", "", ""])
    count = f"{rounds * blocks * executions:,}"
    return table(
        f"A storm of vfork and exec of the smallest program on one CPU, {count} executions beside each observer",
        ["observer", "time, compared with none: median (middle half)", "CPU of the observer", "missed"],
        rows,
    )


def _cpu(process):
    return sum(sum(one.cpu_times()[:2]) for one in (process, *process.children(recursive=True)))
