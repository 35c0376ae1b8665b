"""Functions of the kernel that programs call besides its helpers: the cast of typed loads, and the iterator of loops.

After a cast to a kernel type the verifier lets a program read memory with plain loads. In a loop with an iterator it
follows the body until it learns nothing new, instead of every iteration.

BCC cannot call these functions. The C code calls numbers that no helper has, which are replaced here; see bpf/read.h
and bpf/loop.h.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from exporter.kernel.instructions import INSTRUCTION, instructions

# BPF program types the probe may use: plain, and with typed loads.
PROGRAM_TYPES = RAW_TRACEPOINT, TYPED_TRACEPOINT = "raw_tracepoint", "tp_btf"

CAST = "bpf_rdonly_cast"
ITERATOR = "bpf_iter_num_new", "bpf_iter_num_next", "bpf_iter_num_destroy"
PLACEHOLDERS = {name: 0xCA57 + index for index, name in enumerate((CAST, *ITERATOR))}  # helpers have small numbers

CALL = 0x85
PSEUDO_KFUNC_CALL = 2


def macros(functions: Collection[str]) -> dict[str, int]:
    """Return the macros to compile a program with, for a kernel that has these functions, CAST among them."""
    found = {"TYPED_LOADS": PLACEHOLDERS[CAST]}
    if set(ITERATOR).issubset(functions):
        found["ITERATOR"] = PLACEHOLDERS[ITERATOR[0]]
    return found


def resolve(code: bytes, functions: Mapping[str, int]) -> bytes:
    """Replace each placeholder in the instructions by a call of the kernel's function; its BTF id is given by name."""
    ids = {placeholder: functions[name] for name, placeholder in PLACEHOLDERS.items() if name in functions}
    resolved = bytearray(code)
    for at, (opcode, registers, offset, immediate) in instructions(code):
        if (opcode, registers) == (CALL, 0) and immediate in ids:
            INSTRUCTION.pack_into(resolved, at, CALL, PSEUDO_KFUNC_CALL << 4, offset, ids[immediate])
    return bytes(resolved)
