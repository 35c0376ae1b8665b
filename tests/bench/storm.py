"""The cost of executions: the probe compared with none, and observers beside a storm.

CPU time is measured instead of elapsed time, because other load hardly affects it.
"""

import itertools
import os
import random
import statistics
import subprocess
from collections import defaultdict
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial

import psutil

from exporter.probe.program import ProbeSettings
from tests.bench.kernel import EMPTY, EVERYTHING, HASH, NOTHING_ELSE, Attached, baselines, probe_programs
from tests.bench.measure import Progress, spread, table
from tests.bench.observers import TRACEFS, observers
from tests.bench.workloads import TINY_EXECUTIONS, saturated, tiny, workloads

A_NOTHING = "nothing, compared with nothing"


def slowdown(directory, quick):
    """Return the table of CPU time that the probe adds to whole programs, attached and detached in turns."""
    blocks = {"tiny static": 50, "dynamic": 50, "shell": 20, "build": 10}
    busy = {"tiny static, saturated": 20}
    if quick:
        blocks, busy = (dict.fromkeys(counts, 4) for counts in (blocks, busy))
    found = {}
    with ExitStack() as stack:
        probes = _probes(stack, {"executions only": NOTHING_ELSE, "all collectors": EVERYTHING})
        nothing, beside = _after(probes["all collectors"], baselines(stack))
        variants = {A_NOTHING: nothing, **{name: beside[name] for name in (EMPTY, HASH)}}
        variants.update({f"exec_exporter, {name}": probe for name, probe in probes.items()})
        for workload in workloads(directory):
            found[workload.name] = _compared(workload, variants, nothing, blocks[workload.name])
            under_load = f"{workload.name}, saturated"
            if under_load in busy:
                with saturated():
                    found[under_load] = _compared(workload, variants, nothing, busy[under_load], busy=True)
    rows = [[name, *(spread(found[column][name], "{:.4f}") for column in found)] for name in variants]
    return table(
        "CPU time of programs, compared with that without a probe: median (middle half)",
        ["attached", *found],
        rows,
    )


def collectors(directory, quick):
    """Return the table of CPU time that each collector adds to the smallest program, without others."""
    chosen = {"executions only": NOTHING_ELSE, **{name: frozenset({name}) for name in sorted(EVERYTHING)}}
    with ExitStack() as stack:
        probes = _probes(stack, {**chosen, "all collectors": EVERYTHING})
        nothing, beside = _after(probes["all collectors"], baselines(stack))
        variants = {A_NOTHING: nothing, **beside, **probes}
        ratios = _compared(tiny(directory, "tiny"), variants, nothing, 10 if quick else 100)
    rows = [[name, spread(ratios[name], "{:.4f}")] for name in variants]
    return table(
        "CPU time of the smallest program, compared with that without a probe, by collector: median (middle half)",
        ["attached", "tiny static"],
        rows,
    )


def _probes(stack, chosen):
    return {name: probe_programs(stack, name, ProbeSettings(collect=collect))[1] for name, collect in chosen.items()}


def _after(probe, baselines):
    """Return a variant without programs, and the baselines; the probe is attached and detached before each, too."""

    def attach(attach_one):
        probe.attach()
        probe.detach()
        attach_one()

    nothing = Attached({}, partial(attach, lambda: None), lambda: None)
    beside = {}
    for one in baselines:
        again = Attached(one.programs, partial(attach, one.attach), one.detach)
        beside.update(dict.fromkeys(one.programs, again))
    return nothing, beside


def _compared(workload, variants, nothing, blocks, busy=False):
    """Return the CPU time of each variant relative to none, block by block, in another order each time."""
    ratios, progress = defaultdict(list), Progress(f"slowdown, {workload.name}", blocks)
    for _ in range(blocks):
        order, took = [("", nothing), *variants.items()], {}
        for name, one in random.sample(order, len(order)):
            one.attach()
            try:
                workload.warm()
                took[name] = workload.cpu_seconds(busy)
            finally:
                one.detach()
        for name in variants:
            ratios[name].append(took[name] / took[""])
        progress.step()
    return ratios


def storm(directory, quick):
    """Return the table of observers: their cost to a storm, CPU time and misses, on an idle and on a busy machine."""
    rounds, blocks = (1, 4) if quick else (2, 20)
    states = {"idle": nullcontext, "saturated": saturated}
    name = f"storm-{os.getpid()}"[:15]
    workload = tiny(directory, name)
    ratios, used, missed, failed = (defaultdict(list) for _ in range(4))
    with _tracefs():
        watching = list(observers(directory, name))
        progress = Progress("storm", rounds * len(states) * len(watching))
        for _, (state, load), observer in itertools.product(range(rounds), states.items(), watching):
            case, busy = (observer.name, state), state != "idle"
            try:
                with load():
                    before = _blocks(workload, blocks, busy)
                    ratios[A_NOTHING, state] += [b / a for a, b in itertools.pairwise(before)]
                    with observer.start() as pid:
                        process = psutil.Process(pid)
                        cpu = _cpu_seconds(process)
                        times = _blocks(workload, blocks, busy)
                        used[case].append((_cpu_seconds(process) - cpu) / sum(times))
                    after = _blocks(workload, blocks, busy)
                without = statistics.median(before + after)
                ratios[case] += [time / without for time in times]
                missed[case].append(1 - min(1, observer.seen() / (blocks * TINY_EXECUTIONS)))
            except (OSError, subprocess.SubprocessError, psutil.Error) as error:
                failed[observer.name] = str(error).splitlines()[0]
            progress.step()
    head, rows = ["observer"], []
    for state in states:
        head += [f"{state}: CPU time of the storm", "CPU of the observer", "missed or not named"]
    for title in (A_NOTHING, *(observer.name for observer in watching)):
        cells = [title]
        for state in states:
            case = title, state
            cells += [spread(ratios[case], "{:.3f}") if case in ratios else f"does not run here: {failed[title]}"]
            if case in missed:
                cells += [f"{statistics.median(used[case]):.1%}", f"{statistics.mean(missed[case]):.2%}"]
            else:
                cells += ["", ""]
        rows.append(cells)
    count = f"{rounds * blocks * TINY_EXECUTIONS:,}"
    return table(
        f"A storm of the smallest program on one CPU, {count} executions beside each observer: its CPU time compared"
        " with that without one, median (middle half); CPU of the observer as a part of that time",
        head,
        rows,
    )


def _blocks(workload, blocks, busy):
    return [workload.cpu_seconds(busy) for _ in range(blocks)]


def _cpu_seconds(process):
    return sum(sum(one.cpu_times()[:2]) for one in (process, *process.children(recursive=True)))


@contextmanager
def _tracefs():
    """Mount tracefs where tools expect it; unmount it if it was not mounted before."""
    mounted = (TRACEFS / "events").exists()
    if not mounted:
        subprocess.run(["mount", "-t", "tracefs", "tracefs", TRACEFS], check=True)
    try:
        yield
    finally:
        if not mounted:
            subprocess.run(["umount", TRACEFS], check=False)
