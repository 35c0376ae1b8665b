"""A dispatcher: the program that stays attached while the probe is replaced. It only calls the program in its slot.

One look-up decides for each event, so an exchange neither misses an event nor counts it twice. The kernel's JIT turns
the look-up into a jump, as the slot is a constant (428d5df1fa4f, Linux 5.5).
"""

from __future__ import annotations

import os
import sys

from exporter.kernel import bpf_syscall
from exporter.kernel.bpf_map import ARRAY, ARRAY_OF_MAPS, PROG_ARRAY, Map
from exporter.kernel.bpf_syscall import ProgramKind
from exporter.kernel.instructions import INSTRUCTION, PSEUDO_MAP_FD, WIDE

R0, R2, R3 = 0, 2, 3
MOVE, CALL, EXIT = 0xB7, 0x85, 0x95  # BPF_ALU64 | BPF_MOV | BPF_K, BPF_JMP | BPF_CALL, BPF_JMP | BPF_EXIT
TAIL_CALL = 12  # arguments: the context, which is in R1 already, a map of programs and an index


def create_slot() -> Map:
    """Create a map of one program. Raise OSError."""
    return Map.create(PROG_ARRAY, 4, 4, 1, name="slot")


def fill(slot: Map, program: int) -> None:
    """Put a program, by its descriptor, into a slot. Raise OSError."""
    slot.set(0, program.to_bytes(4, sys.byteorder))


def program_in(slot: Map) -> int:
    """Return the kernel's id of the program in a slot; 0: the slot is empty. Raise OSError."""
    return int.from_bytes(slot.get(bytes(4)) or b"", sys.byteorder)


def load_dispatcher(slot: Map, kind: ProgramKind, name: str) -> int:
    """Load a dispatcher for a slot, of the same kind as the program in it. Raise OSError."""
    code = (
        (WIDE, PSEUDO_MAP_FD << 4 | R2, 0, slot.fd),
        (0, 0, 0, 0),
        (MOVE, R3, 0, 0),
        (CALL, 0, 0, TAIL_CALL),
        (MOVE, R0, 0, 0),
        (EXIT, 0, 0, 0),
    )
    return bpf_syscall.load(b"".join(INSTRUCTION.pack(*parts) for parts in code), kind, name)


def wait_until_unused() -> None:
    """Wait until no program runs that has been removed from a slot. Raise OSError.

    The system call that changes a map of maps waits for all running programs (1ae80cf31938, Linux 4.19).
    """
    inner = Map.create(ARRAY, 4, 4, 1)
    try:
        outer = Map.create(ARRAY_OF_MAPS, 4, 4, 1, inner=inner.fd)
        try:
            outer.set(0, inner.fd.to_bytes(4, sys.byteorder))
        finally:
            os.close(outer.fd)
    finally:
        os.close(inner.fd)
