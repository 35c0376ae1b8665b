"""bpf(2): maps are made, programs loaded and attached, both pinned and found again. include/uapi/linux/bpf.h."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import re
import resource
from functools import cache
from pathlib import Path
from typing import NamedTuple

SYS_BPF = {"x86_64": 321, "aarch64": 280}
MAP_CREATE, PROG_LOAD, OBJ_PIN, OBJ_GET, OBJ_GET_INFO_BY_FD, RAW_TRACEPOINT_OPEN, LINK_CREATE = 0, 5, 6, 7, 15, 17, 28
PROG_TYPE_KPROBE, PROG_TYPE_TRACEPOINT, PROG_TYPE_RAW_TRACEPOINT, PROG_TYPE_TRACING, PROG_TYPE_LSM = 2, 5, 17, 26, 29
TRACE_RAW_TP, TRACE_FENTRY, TRACE_FEXIT, LSM_MAC, PERF_EVENT = 23, 24, 25, 27, 41
INSTRUCTION_BYTES = 8
NAME_BYTES = 15
LICENSE = b"Dual MIT/GPL"
LOG_BYTES = 16 << 20  # the verifier fails if it does not fit
NOTE_CHARACTERS = 4096

_libc = ctypes.CDLL(None, use_errno=True)
# Other threads do not go on meanwhile: what is over in a microsecond would then wait for them, some milliseconds.
_libc_holding_gil = ctypes.PyDLL(None, use_errno=True)


class _Create(ctypes.Structure):
    """The part of union bpf_attr that BPF_MAP_CREATE takes."""

    _fields_ = (
        ("map_type", ctypes.c_uint32),
        ("key_size", ctypes.c_uint32),
        ("value_size", ctypes.c_uint32),
        ("max_entries", ctypes.c_uint32),
        ("map_flags", ctypes.c_uint32),
        ("inner_map_fd", ctypes.c_uint32),
        ("numa_node", ctypes.c_uint32),
        ("map_name", ctypes.c_char * 16),
    )


class _Load(ctypes.Structure):
    """The part of it that BPF_PROG_LOAD takes."""

    _fields_ = (
        ("prog_type", ctypes.c_uint32),
        ("insn_cnt", ctypes.c_uint32),
        ("insns", ctypes.c_uint64),
        ("license", ctypes.c_uint64),
        ("log_level", ctypes.c_uint32),
        ("log_size", ctypes.c_uint32),
        ("log_buf", ctypes.c_uint64),
        ("kern_version", ctypes.c_uint32),
        ("prog_flags", ctypes.c_uint32),
        ("prog_name", ctypes.c_char * 16),
        ("prog_ifindex", ctypes.c_uint32),
        ("expected_attach_type", ctypes.c_uint32),
        ("prog_btf_fd", ctypes.c_uint32),
        ("func_info_rec_size", ctypes.c_uint32),
        ("func_info", ctypes.c_uint64),
        ("func_info_cnt", ctypes.c_uint32),
        ("line_info_rec_size", ctypes.c_uint32),
        ("line_info", ctypes.c_uint64),
        ("line_info_cnt", ctypes.c_uint32),
        ("attach_btf_id", ctypes.c_uint32),
    )


class _Object(ctypes.Structure):
    """That of BPF_OBJ_PIN and BPF_OBJ_GET."""

    _fields_ = (("pathname", ctypes.c_uint64), ("bpf_fd", ctypes.c_uint32), ("file_flags", ctypes.c_uint32))


class _Info(ctypes.Structure):
    """That of BPF_OBJ_GET_INFO_BY_FD."""

    _fields_ = (("bpf_fd", ctypes.c_uint32), ("info_len", ctypes.c_uint32), ("info", ctypes.c_uint64))


class _Open(ctypes.Structure):
    """That of BPF_RAW_TRACEPOINT_OPEN."""

    _fields_ = (("name", ctypes.c_uint64), ("prog_fd", ctypes.c_uint32), ("pad", ctypes.c_uint32))


class _Link(ctypes.Structure):
    """That of BPF_LINK_CREATE."""

    _fields_ = (
        ("prog_fd", ctypes.c_uint32),
        ("target_fd", ctypes.c_uint32),
        ("attach_type", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("rest", ctypes.c_uint64 * 3),
    )


class MapInfo(NamedTuple):
    """The beginning of struct bpf_map_info. `id` is the kernel's: no other map has it before the next boot."""

    type: int
    id: int
    key_size: int
    value_size: int
    max_entries: int
    flags: int


class ProgramKind(NamedTuple):
    """What a program is loaded as: its type and, if it is for what BTF names, how it is attached there and its id."""

    program_type: int
    attach_type: int = 0
    btf_id: int = 0


def create_map(
    map_type: int, key_size: int, value_size: int, max_entries: int, flags: int = 0, name: str = "", inner: int = 0
) -> int:
    """Makes a map, of maps like the one with the descriptor `inner`; returns its descriptor. Raises OSError."""
    attributes = _Create(map_type, key_size, value_size, max_entries, flags, inner, map_name=name.encode()[:NAME_BYTES])
    return _with_memory(MAP_CREATE, attributes)


def map_info(descriptor: int) -> MapInfo:
    """What the kernel says of a map. Raises OSError."""
    info = (ctypes.c_uint32 * 32)()
    bpf(OBJ_GET_INFO_BY_FD, _Info(descriptor, ctypes.sizeof(info), ctypes.addressof(info)))
    return MapInfo(*info[:6])


def object_id(descriptor: int) -> int:
    """The kernel's id of a map, program or link: the second member of what it says of each. Raises OSError."""
    return map_info(descriptor).id


def statistic(descriptor: int, name: str) -> int:
    """What the kernel says of a program that is loaded, such as run_time_ns; 0 where it has no such statistic."""
    info = Path(f"/proc/self/fdinfo/{descriptor}").read_text("ascii")
    found = re.search(rf"^{name}:\s*(\d+)$", info, re.MULTILINE)
    return int(found[1]) if found else 0


def pin(descriptor: int, path: bytes) -> None:
    """Gives a map, program or link a name in a bpffs. Raises OSError."""
    name = ctypes.create_string_buffer(path)
    bpf(OBJ_PIN, _Object(ctypes.addressof(name), descriptor))


def pinned(path: bytes) -> int:
    """A descriptor of what has that name in a bpffs. Raises OSError."""
    name = ctypes.create_string_buffer(path)
    return bpf(OBJ_GET, _Object(ctypes.addressof(name)))


def load(instructions: bytes, kind: ProgramKind, name: str) -> int:
    """Loads a program; returns its descriptor.

    Raises OSError; a note on it is what the verifier said.
    """
    code = ctypes.create_string_buffer(instructions, len(instructions))
    license_text = ctypes.create_string_buffer(LICENSE)
    attributes = _Load(
        prog_type=kind.program_type,
        insn_cnt=len(instructions) // INSTRUCTION_BYTES,
        insns=ctypes.addressof(code),
        license=ctypes.addressof(license_text),
        prog_name=name.encode("ascii")[:NAME_BYTES],
        expected_attach_type=kind.attach_type,
        attach_btf_id=kind.btf_id,
    )
    try:
        return _with_memory(PROG_LOAD, attributes)
    except OSError as error:
        if error.errno == errno.EPERM:  # not the verifier's
            raise
        said = ctypes.create_string_buffer(LOG_BYTES)
        attributes.log_level, attributes.log_size, attributes.log_buf = 1, LOG_BYTES, ctypes.addressof(said)
        with contextlib.suppress(OSError):
            os.close(bpf(PROG_LOAD, attributes))
        error.add_note(said.value.decode("ascii", "replace")[-NOTE_CHARACTERS:])
        raise


def attach(program: int, tracepoint: bytes = b"") -> int:
    """Attaches a program to a raw tracepoint, or to what BTF named when it was loaded; returns the link.

    Closing the descriptor of a link that is not pinned detaches. Raises OSError.
    """
    name = ctypes.create_string_buffer(tracepoint)
    return bpf(RAW_TRACEPOINT_OPEN, _Open(ctypes.addressof(name) if tracepoint else 0, program))


def attach_to_perf_event(program: int, event: int) -> int:
    """Attaches a program to an open perf event; returns the link. Linux 5.15. Raises OSError."""
    return bpf(LINK_CREATE, _Link(program, event, PERF_EVENT))


@cache
def _number() -> int:
    return SYS_BPF[os.uname().machine]


def bpf(command: int, attributes: ctypes.Structure, *, hold_gil: bool = False) -> int:
    """The system call; `hold_gil`: no other thread goes on until it is over. Raises OSError."""
    libc = _libc_holding_gil if hold_gil else _libc
    result = int(libc.syscall(_number(), command, ctypes.byref(attributes), ctypes.sizeof(attributes)))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def _with_memory(command: int, attributes: ctypes.Structure) -> int:
    """The system call; before Linux 5.11 what it makes counts against a limit of locked memory, which is lifted."""
    try:
        return bpf(command, attributes)
    except PermissionError as error:
        unlimited = resource.RLIM_INFINITY, resource.RLIM_INFINITY
        if error.errno != errno.EPERM or resource.getrlimit(resource.RLIMIT_MEMLOCK) == unlimited:
            raise
        try:
            resource.setrlimit(resource.RLIMIT_MEMLOCK, unlimited)
        except (ValueError, OSError):
            raise error from None
        return bpf(command, attributes)
