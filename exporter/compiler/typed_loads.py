"""Typed loads: after a cast to a kernel type the verifier lets a program read memory with plain loads.

BCC cannot call the function that casts. The C code calls a number that no helper has, which is replaced
here; see bpf/read.h.
"""

from __future__ import annotations

from exporter.kernel.instructions import INSTRUCTION, instructions

# BPF program types the probe may use: plain, and with typed loads.
PROGRAM_TYPES = RAW_TRACEPOINT, TYPED_TRACEPOINT = "raw_tracepoint", "tp_btf"

FUNCTION = "bpf_rdonly_cast"
PLACEHOLDER = 0xCA57  # helpers have small numbers

CALL = 0x85
PSEUDO_KFUNC_CALL = 2


def resolve(code: bytes, btf_id: int) -> bytes:
    """Replace each placeholder in the instructions by a call of the kernel's function with that BTF id."""
    resolved = bytearray(code)
    for at, (opcode, registers, offset, immediate) in instructions(code):
        if (opcode, registers, immediate) == (CALL, 0, PLACEHOLDER):
            INSTRUCTION.pack_into(resolved, at, CALL, PSEUDO_KFUNC_CALL << 4, offset, btf_id)
    return bytes(resolved)
