"""Which BPF programs, maps and links the kernel has, asked of the kernel itself."""

import ctypes
import errno
import os
import time

from exporter.kernel.bpf_syscall import SYS_BPF

NEXT_ID_COMMANDS = {"program": 11, "map": 12, "link": 31}


def bpf_objects():
    """The ids of all BPF objects on this machine, by kind."""
    return {(kind, number) for kind, command in NEXT_ID_COMMANDS.items() for number in _ids(command)}


def gone(before, deadline_seconds=10.0):
    """Waits until nothing is left that was not there before; the kernel frees some objects with a delay."""
    end = time.monotonic() + deadline_seconds
    while bpf_objects() - before and time.monotonic() < end:
        os.sched_yield()
    return bpf_objects() - before


def _ids(command):
    libc = ctypes.CDLL(None, use_errno=True)
    attributes = (ctypes.c_uint32 * 4)()
    while libc.syscall(SYS_BPF[os.uname().machine], command, attributes, ctypes.sizeof(attributes)) == 0:
        yield attributes[1]
        attributes[0] = attributes[1]
    assert ctypes.get_errno() == errno.ENOENT, os.strerror(ctypes.get_errno())
