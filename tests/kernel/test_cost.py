"""What an execution and a scrape may cost, in counts that do not depend on how fast the machine is.

Whoever makes the probe do more finds the new numbers in the failure, and writes them into LIMITS below.
"""

import ctypes
import os
import struct
from collections import Counter

from exporter.bpf_syscall import bpf
from tests.kernel.running import running

# By whether loads are typed: what was counted on Linux 6.18 (x86_64, BCC 0.26), and a limit a twentieth above it,
# for other kernels and compilers. Bytes are those of the program as the kernel translated it.
LIMITS = {
    True: {},
    False: {},
}
# System calls of a scrape in the whole exporter: what was counted, and the limit.
SYSTEM_CALLS = (0, 0)

# include/uapi/linux/bpf.h
OBJ_GET_INFO_BY_FD = 15
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


class _Info(ctypes.Structure):
    _fields_ = (("fd", ctypes.c_uint32), ("size", ctypes.c_uint32), ("info", ctypes.c_uint64))


def loaded_bytes(descriptor):
    """Sizes of a program in the kernel, as machine code and as BPF: the beginning of struct bpf_prog_info."""
    info = (ctypes.c_uint32 * 64)()
    bpf(OBJ_GET_INFO_BY_FD, _Info(descriptor, ctypes.sizeof(info), ctypes.addressof(info)))
    return info[4], info[5]


def calls(code):
    """How often each helper stands in a program; `loads` are those that a cast allows."""
    counted = Counter()
    for opcode, registers, _, number in struct.iter_unpack("<BBhi", code):
        if opcode == CALL:
            counted["casts" if registers >> 4 == KERNEL_FUNCTION else HELPERS.get(number, "other helpers")] += 1
    return counted


def test_the_program_does_no_more_than_it_did(typed_loads):
    with running(typed_loads=typed_loads) as exporter:
        program = exporter.probe._bpf
        code = program.dump_func(b"on_exec")
        machine_bytes, _ = loaded_bytes(program.funcs[b"on_exec"].fd)
    found = {"instructions": len(code) // 8, **calls(code)}
    if os.uname().machine == "x86_64":
        found["bytes of machine code"] = machine_bytes
    limits = LIMITS[typed_loads]
    assert {name: count for name, count in found.items() if count > limits.get(name, (0, 0))[1]} == {}, found
