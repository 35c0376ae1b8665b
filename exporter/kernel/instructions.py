"""The instructions of a BPF program."""

from __future__ import annotations

import struct
from collections.abc import Iterator

# struct bpf_insn: opcode, registers (source in the upper half), offset, immediate; include/uapi/linux/bpf.h
INSTRUCTION = struct.Struct("<BBhi")
PSEUDO_MAP_FD = 1  # as the source of a wide instruction: its constant is the descriptor of a map
WIDE = 0x18  # takes the space of two; the second holds the upper half of a constant


def instructions(code: bytes | bytearray) -> Iterator[tuple[int, tuple[int, int, int, int]]]:
    """Yield the position of each instruction in bytes, and its opcode, registers, offset and immediate."""
    at = 0
    while at < len(code):
        parts = INSTRUCTION.unpack_from(code, at)
        yield at, parts
        at += INSTRUCTION.size * (2 if parts[0] == WIDE else 1)


def wide_constant(code: bytes | bytearray, at: int) -> int:
    """Return the constant, unsigned, of the wide instruction at a position."""
    return int.from_bytes(b"".join(code[start : start + 4] for start in _halves(at)), "little")


def set_wide_constant(code: bytearray, at: int, constant: int) -> None:
    """Change the constant, unsigned, of the wide instruction at a position."""
    value = constant.to_bytes(8, "little")
    for start, half in zip(_halves(at), (value[:4], value[4:]), strict=True):
        code[start : start + 4] = half


def _halves(at: int) -> tuple[int, int]:
    """Return the positions of the lower and the upper half of a wide instruction's constant."""
    immediate = INSTRUCTION.size - 4
    return at + immediate, at + INSTRUCTION.size + immediate
