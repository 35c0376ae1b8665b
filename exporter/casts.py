"""Casts to the kernel's types, for which BCC has no words: a call of a number that no helper has stands for each.

After such a cast the verifier lets a program read memory with plain loads. See bpf/kernel.h.
"""

from __future__ import annotations

import ctypes
import struct
from typing import Any

# As what a program that counts executions is loaded: without casts, and with them.
PROGRAM_TYPES = RAW_TRACEPOINT, TYPED_TRACEPOINT = "raw_tracepoint", "tp_btf"

FUNCTION = "bpf_rdonly_cast"
PLACEHOLDER = 0xCA57  # helpers have small numbers

# struct bpf_insn: opcode, registers (source in the upper half), offset, immediate; include/uapi/linux/bpf.h
INSTRUCTION = struct.Struct("<BBhi")
WIDE, CALL = 0x18, 0x85
PSEUDO_KFUNC_CALL = 2


def resolve(instructions: bytes, btf_id: int) -> bytes:
    """The instructions with each placeholder made into a call of the kernel's function that has that id in its BTF."""
    resolved = bytearray(instructions)
    second_half = False  # of an instruction that takes 16 bytes, whose last 4 are part of a constant
    for at in range(0, len(resolved), INSTRUCTION.size):
        opcode, registers, offset, immediate = INSTRUCTION.unpack_from(resolved, at)
        if (opcode, registers, immediate) == (CALL, 0, PLACEHOLDER) and not second_half:
            INSTRUCTION.pack_into(resolved, at, CALL, PSEUDO_KFUNC_CALL << 4, offset, btf_id)
        second_half = opcode == WIDE and not second_half
    return bytes(resolved)


def resolve_all(lib: Any, module: Any, btf_id: int) -> None:
    """Resolves, where they lie, the instructions of every program that BCC has compiled and not yet loaded."""
    for index in range(lib.bpf_num_functions(module)):
        name = lib.bpf_function_name(module, index)
        start, size = lib.bpf_function_start(module, name), lib.bpf_function_size(module, name)
        ctypes.memmove(start, resolve(ctypes.string_at(start, size), btf_id), size)
