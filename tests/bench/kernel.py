"""Time in the kernel for each exec: the probe beside an empty program, an array and a hash, attached side by side.

Every block of executions is timed for all programs at once, by the kernel's own statistics; from block to block they
are attached in another order, since the first of them finds the caches coldest.
"""

import ctypes
import statistics
from contextlib import ExitStack, closing
from functools import partial

from exporter.probe import Probe
from exporter.program import PROGRAM, TRACEPOINT, ProbeSettings
from tests.bench.measure import Progress, bpf_statistics, pinned, run_statistics, spread, table
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
WARM = 5


class Attached:
    """A program that can be attached to the tracepoint again and again."""

    def __init__(self, descriptor, attach, detach):
        self.descriptor, self.attach, self.detach = descriptor, attach, detach


def baselines(stack):
    """The three programs, a module each: BCC attaches one program of a module to a tracepoint."""
    for name, function in ((EMPTY, b"on_exec_empty"), (ARRAY, b"on_exec_array"), (HASH, b"on_exec_hash")):
        module = stack.enter_context(compiled(BASELINES))
        yield (
            name,
            Attached(
                module.load_func(function, module.RAW_TRACEPOINT).fd,
                partial(module.attach_raw_tracepoint, TRACEPOINT, function),
                partial(module.detach_raw_tracepoint, TRACEPOINT),
            ),
        )


def probe_program(stack, settings):
    """The probe's program on exec alone."""
    probe = stack.enter_context(closing(Probe(settings)))
    return probe, Attached(
        probe._bpf.funcs[PROGRAM].fd,
        lambda: probe._attach_raw_tracepoint(TRACEPOINT, PROGRAM),
        lambda: probe._bpf.detach_raw_tracepoint(TRACEPOINT),
    )


def timed(programs, workloads, blocks, executions, what):
    """ns for each exec in each block, by program and workload."""
    found = {(name, workload): [] for name in programs for workload in workloads}
    progress = Progress(what, blocks)
    names = list(programs)
    with bpf_statistics(), pinned():
        for block in range(blocks):
            turn = block % len(names)
            order = names[turn:] + names[:turn]
            for name in order:
                programs[name].attach()
            try:
                for workload, path in workloads.items():
                    execute(path, WARM)
                    before = {name: run_statistics(programs[name].descriptor) for name in names}
                    execute(path, executions)
                    for name in names:
                        ns, runs = run_statistics(programs[name].descriptor)
                        found[name, workload].append((ns - before[name][0]) / (runs - before[name][1]))
            finally:
                for name in order:
                    programs[name].detach()
            progress.step()
    return found


def per_exec(directory, quick):
    """The table of costs by program and workload."""
    workloads = {
        "static": static_elf(directory / "static"),
        "dynamic": dynamic_elf(directory / "dynamic"),
        "script": script(directory / "script"),
    }
    with ExitStack() as stack:
        programs = dict(baselines(stack))
        for name, settings in PROBES.items():
            programs[name] = probe_program(stack, settings)[1]
        found = timed(programs, workloads, *((8, 50) if quick else (42, 100)), "ns per exec")
    rows = []
    for name in programs:
        cells = [name]
        for workload in workloads:
            ratios = [a / b for a, b in zip(found[name, workload], found[HASH, workload], strict=True)]
            cells += [spread(found[name, workload]), f"{statistics.median(ratios):.2f}"]
        rows.append(cells)
    head = ["program"] + [cell for workload in workloads for cell in (f"{workload}, ns", "of the hash")]
    return table("Time in the kernel per exec of a known program: median (middle half)", head, rows)


def growth(directory, quick):
    """The table of costs by depth of the path, and by entries in the map."""
    depths = {}
    for depth in (2, 8, 32):
        below = directory
        while len(below.parts) < depth:  # the root counts as one, the file as another
            below /= "d"
        below.mkdir(parents=True, exist_ok=True)
        depths[f"depth {len(below.parts)}"] = static_elf(below / "static")
    blocks, executions = (6, 50) if quick else (24, 100)
    rows = []
    with ExitStack() as stack:
        programs = dict(baselines(stack))
        programs["probe"] = probe_program(stack, ProbeSettings(collect=NOTHING_ELSE))[1]
        found = timed(programs, depths, blocks, executions, "growth with depth")
        rows += [[name, spread(found["probe", name]), spread(found[HASH, name])] for name in depths]
    path = {"static": static_elf(directory / "static")}
    with ExitStack() as stack:
        programs = dict(baselines(stack))
        for entries in (1_000, 16_000, 256_000):
            probe, programs[f"{entries:,} entries"] = probe_program(
                stack, ProbeSettings(collect=NOTHING_ELSE, executions_entries=1 << 19)
            )
            fill(probe, entries)
        found = timed(programs, path, blocks, executions, "growth with entries")
        for name in list(programs)[3:]:
            rows.append([name, spread(found[name, "static"]), spread(found[HASH, "static"])])
    return table(
        "Growth of that time (executions only, typed loads where the kernel has them)", ["", "ns", "hash, ns"], rows
    )


def fill(probe, entries):
    """Puts so many keys into the map of executions."""
    executions = probe.maps["execs"]
    value = probe.structs["execs"](executions=1, introduced=1)
    for number in range(entries):
        key = number.to_bytes(8, "little").ljust(executions.key_size, b"\xff")
        probe._lib.bpf_update_elem(executions.fd, ctypes.create_string_buffer(key, len(key)), ctypes.byref(value), 0)
