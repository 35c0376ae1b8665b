"""Time in the kernel per exec: the probe beside an empty program, an array and a hash, attached side by side.

The kernel's own statistics time blocks of executions. Each block has only one probe, because a second would find in the
caches what the first has read. The order of programs varies, because the first to run finds the caches coldest.
"""

import os
import random
import sys
from collections import defaultdict
from contextlib import ExitStack, closing
from functools import partial

from exporter.collectors.flags import SeriesOptions
from exporter.collectors.pipeline import Pipeline
from exporter.kernel.bpf_syscall import attach
from exporter.kernel.dispatcher import create_slot, load_dispatcher
from exporter.kernel.dispatcher import fill as fill_slot
from exporter.probe.probe import Probe
from exporter.probe.program import PROGRAM, TRACEPOINT, ProbeSettings
from tests.bench.measure import Progress, bpf_statistics, pinned, run_statistics, spread, table, undisturbed
from tests.kernel.own_programs import compiled
from tests.kernel.programs import dynamic_elf, execute, script, static_elf

BASELINES = """
BPF_PERCPU_ARRAY(array, u64, 1);
struct key { u64 words[8]; };
BPF_TABLE("hash", struct key, u64, hash, 32768);
int on_exec_empty(void *ctx) { return 0; }
int on_exec_array(void *ctx)
{
    int zero = 0;
    u64 *value = array.lookup(&zero);
    if (value)
        __sync_fetch_and_add(value, 1);
    return 0;
}
int on_exec_hash(void *ctx)
{
    struct key key = {.words = {1, 2, 3, 4, 5, 6, 7, 8}};
    u64 *value = hash.lookup(&key), one = 1;
    if (value)
        __sync_fetch_and_add(value, 1);
    else
        hash.update(&key, &one);
    return 0;
}
"""
EMPTY, ARRAY, HASH = "empty program", "array increment", "64-byte-key hash increment"
EVERYTHING = ProbeSettings().collect
NOTHING_ELSE = frozenset()
PROBES = {
    "exec_exporter, executions only": ProbeSettings(collect=NOTHING_ELSE),
    "exec_exporter, all collectors": ProbeSettings(),
    "executions only, without typed loads": ProbeSettings(collect=NOTHING_ELSE, typed_loads=False),
    "all collectors, without typed loads": ProbeSettings(typed_loads=False),
}
DIRECT = "all collectors, with no look-up of the generation"
WARM = 5


class Attached:
    """Programs, by name, that are attached and detached together, repeatedly."""

    def __init__(self, programs, attach, detach):
        self.programs, self.attach, self.detach = programs, attach, detach


def baselines(stack):
    """Yield the three baseline programs, in a module each: BCC attaches one program of a module to a tracepoint."""
    for name, function in ((EMPTY, b"on_exec_empty"), (ARRAY, b"on_exec_array"), (HASH, b"on_exec_hash")):
        module = stack.enter_context(compiled(BASELINES))
        yield Attached(
            {name: module.load_func(function, module.RAW_TRACEPOINT).fd},
            partial(module.attach_raw_tracepoint, TRACEPOINT.encode(), function),
            partial(module.detach_raw_tracepoint, TRACEPOINT.encode()),
        )


class Dispatchers:
    """Dispatchers, which the service attaches by default. These are not pinned."""

    def __init__(self):
        self.dispatchers, self._slots, self._links = {}, [], []

    def attach(self, tracepoint, name, program, kind):
        if name not in self.dispatchers:
            self._slots.append(create_slot())
            fill_slot(self._slots[-1], program)
            self.dispatchers[name] = load_dispatcher(self._slots[-1], kind, f"call_{name}")
        self._links.append(attach(self.dispatchers[name], b"" if kind.btf_id else tracepoint.encode()))

    def release(self):
        while self._links:
            os.close(self._links.pop())

    def nothing(self, *_):
        """Do nothing: no hook is pinned, and no program stays attached."""

    hook = keep_hook = drop_hook = detach = nothing

    def close(self):
        self.release()
        for descriptor in (*self.dispatchers.values(), *(slot.fd for slot in self._slots)):
            os.close(descriptor)


def probe_programs(stack, name, settings, *, direct=False):
    """Return the probe, at work as in the service, and its programs by name.

    `direct`: attached without dispatchers, as where nothing can be pinned.
    """
    attachments = None if direct else Dispatchers()
    probe = stack.enter_context(closing(Probe(settings, attachments=attachments)))

    def detach():
        probe.detach()
        if attachments:
            attachments.release()

    probe.refresh_settings()
    probe.attach()
    Pipeline(probe, SeriesOptions())  # seeds processes, so that each fork finds its parent
    detach()
    loaded = attachments.dispatchers if attachments else probe.program.bpf.programs
    programs = {f"{name}: {program}": loaded[program] for _, program in probe.beside}
    return probe, Attached({name: loaded[PROGRAM], **programs}, probe.attach, detach)


def timed(stack, probes, workloads, blocks, executions, what):
    """Return ns per run in each block, by program and workload, and the ratios to the hash."""
    found, ratios = defaultdict(list), defaultdict(list)
    beside = list(baselines(stack))
    progress = Progress(what, blocks)
    with bpf_statistics(), pinned():
        for _ in range(blocks):
            for probe in probes:
                together = random.sample([*beside, probe], len(beside) + 1)
                programs = {name: program for one in together for name, program in one.programs.items()}
                for one in together:
                    one.attach()
                try:
                    for workload, run in workloads.items():
                        ns = _block(programs, run, executions)
                        for name in programs:
                            found[name, workload].append(ns[name])
                            ratios[name, workload].append(ns[name] / ns[HASH])
                finally:
                    for one in together:
                        one.detach()
            progress.step()
    return found, ratios


def _block(programs, run, executions):
    """Return ns per run of each program."""
    with undisturbed():
        run(WARM)
        before = {name: run_statistics(program) for name, program in programs.items()}
        run(executions)
        after = {name: run_statistics(program) for name, program in programs.items()}
    spent = {name: [new - old for new, old in zip(after[name], before[name], strict=True)] for name in programs}
    return {name: ns / runs for name, (ns, runs) in spent.items()}


def per_exec(directory, quick):
    """Return the table of costs by program and workload."""
    workloads = {
        "static": partial(execute, static_elf(directory / "static")),
        "dynamic": partial(execute, dynamic_elf(directory / "dynamic")),
        "script": partial(execute, script(directory / "script")),
    }
    with ExitStack() as stack:
        probes = [probe_programs(stack, name, settings)[1] for name, settings in PROBES.items()]
        probes.append(probe_programs(stack, DIRECT, ProbeSettings(), direct=True)[1])
        found, ratios = timed(stack, probes, workloads, *((8, 50) if quick else (42, 100)), "ns per exec")
    rows = []
    for name in dict.fromkeys(name for name, _ in found):
        cells = [name]
        for workload in workloads:
            cells += [spread(found[name, workload]), spread(ratios[name, workload], "{:.2f}")]
        rows.append(cells)
    head = ["program"] + [cell for workload in workloads for cell in (f"{workload}, ns", "of the hash")]
    return table("Time in the kernel per exec of a known program: median (middle half)", head, rows)


def growth(directory, quick):
    """Return the table of costs by depth of the path, by CPUs that execute at once, and by entries in the map."""
    cases = {}
    for depth in (2, 8, 32):
        below = directory
        while len(below.parts) < depth:  # the root and the file count too
            below /= "d"
        below.mkdir(parents=True, exist_ok=True)
        cases[f"depth {len(below.parts)}"] = partial(execute, static_elf(below / "static"))
    program = static_elf(directory / "static")
    for cpus in sorted({1, 2, os.cpu_count() // 2, os.cpu_count()} - {0}):
        cases[f"{cpus} CPUs at once"] = partial(_at_once, program, cpus)
    blocks, executions = (6, 50) if quick else (24, 100)
    settings = ProbeSettings(collect=NOTHING_ELSE, map_entries=1 << 19)
    with ExitStack() as stack:
        probe = probe_programs(stack, "probe", settings)[1]
        found, ratios = timed(stack, [probe], cases, blocks, executions, "growth with depth and CPUs")
    rows = [[name, spread(found["probe", name]), spread(ratios["probe", name], "{:.2f}")] for name in cases]
    with ExitStack() as stack:
        probes = []
        for entries in (1_000, 16_000, 256_000):
            probe, attached = probe_programs(stack, f"{entries:,} entries", settings)
            fill(probe, entries)
            probes.append(attached)
        case = {"static": partial(execute, program)}
        found, ratios = timed(stack, probes, case, blocks, executions, "growth with entries")
        for probe in probes:
            for key in ((name, "static") for name in probe.programs):
                rows.append([key[0], spread(found[key]), spread(ratios[key], "{:.2f}")])
    title = "Growth of that time (executions only, typed loads where the kernel has them)"
    return table(title, ["", "ns", "of the hash"], rows)


def _at_once(path, cpus, times):
    """Execute a file `times` times on each of so many CPUs."""
    children = []
    for cpu in range(cpus):
        child = os.fork()
        if not child:
            try:
                os.sched_setaffinity(0, {cpu})
                execute(path, times)
            finally:
                os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)


def fill(probe, entries):
    """Insert so many keys into the map of executions."""
    executions = probe.maps["execs"]
    value = bytes(probe.structs["execs"](executions=1, introduced=1))
    for number in range(entries):
        executions.put(number.to_bytes(8, sys.byteorder).ljust(executions.key_size, b"\xff"), value)
