"""BPF programs, maps and links that the kernel has, as it lists them."""

import ctypes
import errno
import os
import time

NEXT_ID = {"program": "bpf_prog_get_next_id", "map": "bpf_map_get_next_id", "link": "bpf_link_get_next_id"}
libbpf = ctypes.CDLL("libbpf.so.1", use_errno=True)


def bpf_objects():
    """Return the ids of all BPF objects on this machine, by kind."""
    return {(kind, number) for kind, function in NEXT_ID.items() for number in _ids(function)}


def gone(before, deadline_seconds=240.0):
    """Wait until all objects that did not exist before are gone; the kernel frees some with a delay."""
    end = time.monotonic() + deadline_seconds
    while bpf_objects() - before and time.monotonic() < end:
        os.sched_yield()
    return bpf_objects() - before


def _ids(function):
    number = ctypes.c_uint32()
    while getattr(libbpf, function)(number, ctypes.byref(number)) == 0:
        yield number.value
    assert ctypes.get_errno() == errno.ENOENT, os.strerror(ctypes.get_errno())
