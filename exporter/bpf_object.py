"""What a source of bpf/ has become in the kernel: its maps, and those of its programs that are loaded."""

from __future__ import annotations

import os

from exporter import bpf_syscall
from exporter.bpf_map import Map
from exporter.bpf_syscall import Kind
from exporter.compiler import Compiled
from exporter.instructions import INSTRUCTION, WIDE, instructions

PSEUDO_MAP_FD = 1


class BPFObject:
    """Makes the maps of a compiled source. Raises OSError."""

    def __init__(self, compiled: Compiled) -> None:
        self._compiled = compiled
        self.maps: dict[str, Map] = {}
        self.programs: dict[str, int] = {}
        try:
            for name, one in compiled.maps.items():
                info = one.info
                sizes = info.key_size, info.value_size, info.max_entries, info.flags
                self.maps[name] = Map.of(bpf_syscall.create_map(info.type, *sizes, name))
        except OSError:
            self.close()
            raise

    def code(self, name: str) -> bytes:
        """The instructions of a program, as the kernel takes them."""
        code = bytearray(self._compiled.programs[name])
        for at, (opcode, registers, offset, immediate) in instructions(code):
            if opcode == WIDE and registers >> 4 == PSEUDO_MAP_FD:
                descriptor = self.maps[self._compiled.numbers[immediate]].fd
                INSTRUCTION.pack_into(code, at, opcode, registers, offset, descriptor)
        return bytes(code)

    def load(self, name: str, kind: Kind) -> int:
        """Loads a program, once; returns its descriptor. Raises OSError, with what the verifier said as a note."""
        if name not in self.programs:
            self.programs[name] = bpf_syscall.load(self.code(name), kind, name)
        return self.programs[name]

    def close(self) -> None:
        """Closes all descriptors; what is attached or pinned keeps what it needs."""
        for descriptor in (*self.programs.values(), *(one.fd for one in self.maps.values())):
            os.close(descriptor)
        self.programs, self.maps = {}, {}
