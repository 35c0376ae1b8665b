"""bpf(2) for what BCC has no call for: programs on functions and tracepoints that BTF names, by id."""

from __future__ import annotations

import contextlib
import ctypes
import os

SYS_BPF = {"x86_64": 321, "aarch64": 280}
PROG_LOAD, RAW_TRACEPOINT_OPEN = 5, 17
PROG_TYPE_TRACING, PROG_TYPE_LSM = 26, 29
TRACE_RAW_TP, TRACE_FENTRY, TRACE_FEXIT, LSM_MAC = 23, 24, 25, 27
INSTRUCTION_BYTES = 8
LICENSE = b"Dual MIT/GPL"
LOG_BYTES = 16 << 20
NOTE_CHARACTERS = 4096

_libc = ctypes.CDLL(None, use_errno=True)


class _Load(ctypes.Structure):
    """The part of union bpf_attr that BPF_PROG_LOAD takes; include/uapi/linux/bpf.h."""

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


class _Open(ctypes.Structure):
    _fields_ = (("name", ctypes.c_uint64), ("prog_fd", ctypes.c_uint32), ("pad", ctypes.c_uint32))


def attach_to_function(instructions: bytes, program_type: int, attach_type: int, btf_id: int, name: str) -> int:
    """Loads a program for the function with that BTF id and attaches it; closing the descriptor detaches it.

    Raises OSError.
    """
    program = load(instructions, program_type, attach_type, btf_id, name)
    try:
        return attach(program)
    finally:
        os.close(program)  # the link holds it


def load(instructions: bytes, program_type: int, attach_type: int, btf_id: int, name: str) -> int:
    """Loads a program for what has that BTF id; returns its descriptor.

    Raises OSError; a note on it is what the verifier said.
    """
    code = ctypes.create_string_buffer(instructions, len(instructions))
    license_text = ctypes.create_string_buffer(LICENSE)
    attributes = _Load(
        prog_type=program_type,
        insn_cnt=len(instructions) // INSTRUCTION_BYTES,
        insns=ctypes.addressof(code),
        license=ctypes.addressof(license_text),
        prog_name=name.encode("ascii")[:15],
        expected_attach_type=attach_type,
        attach_btf_id=btf_id,
    )
    try:
        return bpf(PROG_LOAD, attributes)
    except OSError as error:
        said = ctypes.create_string_buffer(LOG_BYTES)
        attributes.log_level, attributes.log_size, attributes.log_buf = 1, LOG_BYTES, ctypes.addressof(said)
        with contextlib.suppress(OSError):
            os.close(bpf(PROG_LOAD, attributes))
        error.add_note(said.value.decode("ascii", "replace")[-NOTE_CHARACTERS:])
        raise


def attach(program: int) -> int:
    """Attaches a program to what it was loaded for; closing the descriptor detaches it. Raises OSError."""
    return bpf(RAW_TRACEPOINT_OPEN, _Open(prog_fd=program))


def bpf(command: int, attributes: ctypes.Structure) -> int:
    """The system call. Raises OSError."""
    number = SYS_BPF[os.uname().machine]
    result = int(_libc.syscall(number, command, ctypes.byref(attributes), ctypes.sizeof(attributes)))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
