"""libbpf through ctypes: the system call bpf(2) without the differences between kernels. BCC needs the library, too.

Before Linux 5.11, where BPF memory counts as locked memory, libbpf raises RLIMIT_MEMLOCK by itself.
"""

from __future__ import annotations

import ctypes
import os
from ctypes import CFUNCTYPE, c_char_p, c_int, c_int64, c_size_t, c_uint32, c_uint64, c_void_p
from functools import cache
from typing import Any

from exporter.errors import USAGE, ExporterError, remedy_of

NAME = "libbpf.so.1"

Sample = CFUNCTYPE(c_int, c_void_p, c_void_p, c_size_t)

# The functions that return a negative errno if they fail, and their parameters; libbpf/src/bpf.h.
FUNCTIONS: dict[str, tuple[Any, ...]] = {
    "bpf_map_create": (c_uint32, c_char_p, c_uint32, c_uint32, c_uint32, c_void_p),
    "bpf_map_lookup_elem": (c_int, c_void_p, c_void_p),
    "bpf_map_update_elem": (c_int, c_void_p, c_void_p, c_uint64),
    "bpf_map_delete_elem": (c_int, c_void_p),
    "bpf_map_lookup_and_delete_elem": (c_int, c_void_p, c_void_p),
    "bpf_map_get_next_key": (c_int, c_void_p, c_void_p),
    "bpf_map_lookup_batch": (c_int, c_void_p, c_void_p, c_void_p, c_void_p, c_void_p, c_void_p),
    "bpf_prog_load": (c_uint32, c_char_p, c_char_p, c_void_p, c_size_t, c_void_p),
    "bpf_raw_tracepoint_open": (c_char_p, c_int),
    "bpf_link_create": (c_int, c_int, c_uint32, c_void_p),
    "bpf_obj_pin": (c_int, c_char_p),
    "bpf_obj_get": (c_char_p,),
    "bpf_obj_get_info_by_fd": (c_int, c_void_p, c_void_p),
    "ring_buffer__consume": (c_void_p,),
}
# Other functions: the type of the result, then those of the parameters; libbpf/src/libbpf.h and btf.h.
OTHER_FUNCTIONS: dict[str, tuple[Any, ...]] = {
    "ring_buffer__new": (c_void_p, c_int, Sample, c_void_p, c_void_p),
    "ring_buffer__free": (None, c_void_p),
    "btf__parse_raw_split": (c_void_p, c_char_p, c_void_p),
    "btf__free": (None, c_void_p),
    "btf__type_cnt": (c_uint32, c_void_p),
    "btf__type_by_id": (c_void_p, c_void_p, c_uint32),
    "btf__name_by_offset": (c_char_p, c_void_p, c_uint32),
    "btf__resolve_size": (c_int64, c_void_p, c_uint32),
    "btf__find_by_name_kind": (c_int, c_void_p, c_char_p, c_uint32),
}


@cache
def libbpf(*, hold_gil: bool = False) -> ctypes.CDLL:
    """Return the library, whose functions raise OSError. Raise ExporterError where it is not installed.

    With `hold_gil` no other thread runs during a call: one that takes a microsecond would otherwise wait milliseconds
    for the others.
    """
    try:
        lib = (ctypes.PyDLL if hold_gil else ctypes.CDLL)(NAME, use_errno=True)
    except OSError as error:
        if exhausted := remedy_of(error, ""):
            raise ExporterError(f"cannot load libbpf ({error})", exhausted) from error
        raise ExporterError(
            f"libbpf is not installed ({NAME})", "install libbpf1 (Debian, Ubuntu) or libbpf (Fedora)", status=USAGE
        ) from error
    for name, arguments in FUNCTIONS.items():
        function = getattr(lib, name)
        function.argtypes, function.errcheck = arguments, _raise_error
    for name, (result, *parameters) in OTHER_FUNCTIONS.items():
        function = getattr(lib, name)
        function.restype, function.argtypes = result, parameters
    lib.libbpf_set_print(None)  # print nothing: errors are raised, and logged by callers
    return lib


def _raise_error(result: int, _function: object, _arguments: object) -> int:
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    return result
