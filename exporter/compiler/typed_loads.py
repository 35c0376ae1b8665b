"""Casts to the kernel's types, for which BCC has no words: a call of a number that no helper has stands for each.

After such a cast the verifier lets a program read memory with plain loads. See bpf/read.h.
"""

from __future__ import annotations

from exporter.kernel.instructions import INSTRUCTION, instructions

# As what a program that counts executions is loaded: without casts, and with them.
PROGRAM_TYPES = RAW_TRACEPOINT, TYPED_TRACEPOINT = "raw_tracepoint", "tp_btf"

FUNCTION = "bpf_rdonly_cast"
PLACEHOLDER = 0xCA57  # helpers have small numbers

CALL = 0x85
PSEUDO_KFUNC_CALL = 2


def resolve(code: bytes, btf_id: int) -> bytes:
    """The instructions with each placeholder made into a call of the kernel's function that has that id in its BTF."""
    resolved = bytearray(code)
    for at, (opcode, registers, offset, immediate) in instructions(code):
        if (opcode, registers, immediate) == (CALL, 0, PLACEHOLDER):
            INSTRUCTION.pack_into(resolved, at, CALL, PSEUDO_KFUNC_CALL << 4, offset, btf_id)
    return bytes(resolved)
