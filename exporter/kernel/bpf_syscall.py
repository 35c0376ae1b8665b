"""BPF programs, links and pins: load, attach, pin and open again. Maps are in bpf_map.py."""

from __future__ import annotations

import ctypes
import mmap
import re
from pathlib import Path
from typing import NamedTuple

from exporter.kernel.instructions import INSTRUCTION
from exporter.kernel.libbpf import libbpf

PROG_TYPE_KPROBE, PROG_TYPE_RAW_TRACEPOINT, PROG_TYPE_TRACING, PROG_TYPE_LSM = 2, 17, 26, 29
TRACE_RAW_TP, TRACE_FENTRY, TRACE_FEXIT, LSM_MAC, PERF_EVENT = 23, 24, 25, 27, 41
LICENSE = b"Dual MIT/GPL"
LOG_BYTES = 16 << 20  # the verifier fails if its log does not fit
NOTE_CHARACTERS = 4096
_NAME_OFFSETS = {"map": 24, "prog": 64}  # of `name` in struct bpf_map_info and bpf_prog_info


class _LoadOptions(ctypes.Structure):
    """struct bpf_prog_load_opts of libbpf 1.0, with the members that are 0 in one; libbpf/src/bpf.h."""

    _fields_ = (
        ("sz", ctypes.c_size_t),
        ("attempts", ctypes.c_int),
        ("expected_attach_type", ctypes.c_uint32),
        ("prog_btf_fd_to_kern_version", ctypes.c_uint32 * 4),
        ("attach_btf_id", ctypes.c_uint32),
        ("attach_prog_fd", ctypes.c_uint32),
        ("attach_btf_obj_fd", ctypes.c_uint32),
        ("fd_array_to_line_info_rec_size", ctypes.c_uint64 * 5),
        ("log_level", ctypes.c_uint32),
        ("log_size", ctypes.c_uint32),
        ("log_buf", ctypes.c_void_p),
    )


class MapInfo(NamedTuple):
    """The beginning of struct bpf_map_info. No other map gets the same `id` before the next boot."""

    type: int
    id: int
    key_size: int
    value_size: int
    max_entries: int
    flags: int


class ProgramKind(NamedTuple):
    """The type of a program and, if it attaches to something that BTF names, its attach type and the BTF id."""

    program_type: int
    attach_type: int = 0
    btf_id: int = 0


def map_info(descriptor: int) -> MapInfo:
    """Return the kernel's description of a map. Raise OSError."""
    info = (ctypes.c_uint32 * 32)()
    libbpf().bpf_obj_get_info_by_fd(descriptor, info, ctypes.byref(ctypes.c_uint32(ctypes.sizeof(info))))
    return MapInfo(*info[:6])


def object_id(descriptor: int) -> int:
    """Return the kernel's id of a map, program or link: the second member of each description. Raise OSError."""
    return map_info(descriptor).id


def identity(descriptor: int) -> tuple[str, int]:
    """Return kind and id of a map, program or link, which tell it from all others. Raise OSError."""
    return str(Path(f"/proc/self/fd/{descriptor}").readlink()), object_id(descriptor)


def object_name(descriptor: int, kind: str) -> str:
    """Return the name that a map or program was given, cut to 15 characters; empty for links. Raise OSError."""
    if kind not in _NAME_OFFSETS:
        return ""
    info = ctypes.create_string_buffer(256)
    libbpf().bpf_obj_get_info_by_fd(descriptor, info, ctypes.byref(ctypes.c_uint32(ctypes.sizeof(info))))
    start = _NAME_OFFSETS[kind]
    return info.raw[start : start + 16].partition(b"\0")[0].decode("ascii", "replace")


def statistic(descriptor: int, name: str) -> int:
    """Return a number that the kernel reports of a loaded program, such as run_time_ns; 0 if it does not."""
    info = Path(f"/proc/self/fdinfo/{descriptor}").read_text("ascii")
    found = re.search(rf"^{name}:\s*(\d+)$", info, re.MULTILINE)
    return int(found[1]) if found else 0


def pin(descriptor: int, path: bytes) -> None:
    """Pin a map, program or link at a path in a bpffs. Raise OSError."""
    libbpf().bpf_obj_pin(descriptor, path)


def pinned(path: bytes) -> int:
    """Return a new descriptor of a pinned object. Raise OSError."""
    return int(libbpf().bpf_obj_get(path))


def load(instructions: bytes, kind: ProgramKind, name: str) -> int:
    """Load a program and return its descriptor. Raise OSError, with the end of the verifier's log as a note."""
    log = mmap.mmap(-1, LOG_BYTES)  # takes memory only if the kernel writes to it: when it refuses the program
    options = _LoadOptions(
        sz=ctypes.sizeof(_LoadOptions),
        expected_attach_type=kind.attach_type,
        attach_btf_id=kind.btf_id,
        log_size=LOG_BYTES,
        log_buf=ctypes.addressof(ctypes.c_char.from_buffer(log)),
    )
    code = instructions, len(instructions) // INSTRUCTION.size
    try:
        return int(
            libbpf().bpf_prog_load(kind.program_type, name.encode("ascii"), LICENSE, *code, ctypes.byref(options))
        )
    except OSError as error:
        error.add_note(log[: log.find(b"\0")].decode("ascii", "replace")[-NOTE_CHARACTERS:])
        raise


def attach(program: int, tracepoint: bytes = b"") -> int:
    """Attach a program to a raw tracepoint, or where BTF said when it was loaded; return the descriptor of the link.

    Closing the descriptor of a link that is not pinned detaches the program. Raise OSError.
    """
    return int(libbpf().bpf_raw_tracepoint_open(tracepoint or None, program))


def attach_to_perf_event(program: int, event: int) -> int:
    """Attach a program to an open perf event; return the descriptor of the link. Raise OSError before Linux 5.15."""
    return int(libbpf().bpf_link_create(program, event, PERF_EVENT, None))
