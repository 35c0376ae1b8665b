"""Limits of the cost of an execution and of a scrape, in counts that do not depend on the speed of the machine.

If a change makes the probe do more, write the new numbers from the failure into LIMITS below.
"""

import ctypes
import os
import struct
from collections import Counter

import pytest

from exporter.kernel.libbpf import libbpf
from tests.kernel.command import served
from tests.kernel.own_programs import compiled
from tests.kernel.running import running

# Of the program on exec, with all collectors, by whether loads are typed: the number on Linux 6.18 (x86_64,
# BCC 0.26), and the limit. Where numbers depend on kernel and compiler, the limit is a twentieth higher.
LIMITS = {
    True: {
        "instructions": (5328, 5600),
        "bytes of machine code": (40560, 42590),
        "calls of kernel functions": (287, 301),
        "map lookups": (15, 15),
        "map updates": (3, 3),
        "map deletions": (1, 1),
        "reads of kernel memory": (1, 1),
        "reads of kernel strings": (13, 13),
        "records sent": (1, 1),
        "other helpers": (11, 11),
    },
    False: {
        "instructions": (6662, 7000),
        "bytes of machine code": (31990, 33590),
        "map lookups": (15, 15),
        "map updates": (3, 3),
        "map deletions": (1, 1),
        "reads of kernel memory": (356, 374),
        "reads of kernel strings": (17, 17),
        "records sent": (1, 1),
        "other helpers": (11, 11),
    },
}
# System calls of the whole exporter per scrape: the number found, and the limit.
SYSTEM_CALLS = (144, 180)

# include/uapi/linux/bpf.h
CALL = 0x85
HELPERS = {
    1: "map lookups",
    2: "map updates",
    3: "map deletions",
    112: "reads of user memory",
    113: "reads of kernel memory",
    114: "reads of user strings",
    115: "reads of kernel strings",
    130: "records sent",
}
KERNEL_FUNCTION = 2

pytestmark = [pytest.mark.native, pytest.mark.both_ways]
SCRAPES = 30
COUNTER = """
BPF_HASH(calls, u64, u64, 1024);
int on_system_call(struct bpf_raw_tracepoint_args *ctx)
{
    u64 number = ctx->args[1];
    if (bpf_get_current_pid_tgid() >> 32 == EXPORTER)
        calls.increment(number);
    return 0;
}
"""


def loaded_bytes(descriptor):
    """Return the sizes of a loaded program, as machine code and as BPF: the first members of struct bpf_prog_info."""
    info = (ctypes.c_uint32 * 64)()
    libbpf().bpf_obj_get_info_by_fd(descriptor, info, ctypes.byref(ctypes.c_uint32(ctypes.sizeof(info))))
    return info[4], info[5]


def calls(code):
    """Count the calls of each helper in a program, and those of other functions of the kernel."""
    counted = Counter()
    for opcode, registers, _, number in struct.iter_unpack("<BBhi", code):
        if opcode == CALL:
            of_kernel = registers >> 4 == KERNEL_FUNCTION
            counted["calls of kernel functions" if of_kernel else HELPERS.get(number, "other helpers")] += 1
    return counted


def test_the_program_does_no_more_than_it_did(typed_loads):
    with running(typed_loads=typed_loads) as exporter:
        program = exporter.probe.program.bpf
        code = program.code("on_exec")
        machine_bytes, _ = loaded_bytes(program.programs["on_exec"])
    found = {"instructions": len(code) // 8, **calls(code)}
    if os.uname().machine == "x86_64":
        found["bytes of machine code"] = machine_bytes
    limits = LIMITS[typed_loads]
    assert {name: count for name, count in found.items() if count > limits.get(name, (0, 0))[1]} == {}, found


def test_a_scrape_makes_no_more_system_calls_than_it_did():
    """The kernel counts the calls of all threads of the exporter; the scrape with the fewest had no other work."""
    with served() as exporter, compiled(COUNTER.replace("EXPORTER", str(exporter.process.pid))) as counter:
        exporter.get()
        counter.attach_raw_tracepoint(b"sys_enter", b"on_system_call")
        readings = []
        for _ in range(SCRAPES):
            counter[b"calls"].clear()
            exporter.get()
            readings.append(Counter({key.value: value.value for key, value in counter[b"calls"].items()}))
    fewest = min(readings, key=Counter.total)
    assert 0 < fewest.total() <= SYSTEM_CALLS[1], fewest
