"""A compiled source of bpf/ in the kernel: its maps and its loaded programs."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping

from exporter.compiler.compile import Compiled
from exporter.errors import ExporterError, attempt
from exporter.kernel import bpf_syscall
from exporter.kernel.bpf_map import Map
from exporter.kernel.bpf_syscall import ProgramKind
from exporter.kernel.instructions import (
    INSTRUCTION,
    PSEUDO_MAP_FD,
    WIDE,
    instructions,
    set_wide_constant,
    wide_constant,
)


class BPFObject:
    """Maps and programs of a compiled source; missing maps are created, programs are loaded on demand.

    In the instructions of programs, `constants` of 64 bits are replaced: each key by its value. Takes ownership of the
    descriptors of given maps and programs. Raise ExporterError.
    """

    def __init__(
        self,
        compiled: Compiled,
        maps: Mapping[str, Map] | None = None,
        programs: Mapping[str, int] | None = None,
        *,
        constants: Mapping[int, int],
    ) -> None:
        self._compiled, self._constants = compiled, constants
        self.maps: dict[str, Map] = dict(maps or {})
        self.programs: dict[str, int] = dict(programs or {})
        try:
            for name in compiled.maps.keys() - self.maps.keys():
                info = compiled.maps[name].info
                sizes = info.key_size, info.value_size, info.max_entries, info.flags
                with attempt(f"create the BPF map {name} of {info.max_entries} entries"):
                    self.maps[name] = Map.create(info.type, *sizes, name)
        except ExporterError:
            self.close()
            raise

    def code(self, name: str) -> bytes:
        """Return the instructions of a program for the kernel. Raise FileNotFoundError if there is none."""
        if name not in self._compiled.programs:
            raise FileNotFoundError(errno.ENOENT, f"the kernel's type information does not allow {name}")
        code = bytearray(self._compiled.programs[name])
        for at, (opcode, registers, offset, immediate) in instructions(code):
            if opcode == WIDE and registers >> 4 == PSEUDO_MAP_FD:
                descriptor = self.maps[self._compiled.numbers[immediate]].fd
                INSTRUCTION.pack_into(code, at, opcode, registers, offset, descriptor)
            elif opcode == WIDE and (constant := wide_constant(code, at)) in self._constants:
                set_wide_constant(code, at, self._constants[constant])
        return bytes(code)

    def load(self, name: str, kind: ProgramKind) -> int:
        """Load a program, once; return its descriptor. Raise OSError, with the verifier's log as a note."""
        if name not in self.programs:
            self.programs[name] = bpf_syscall.load(self.code(name), kind, name)
        return self.programs[name]

    def close(self) -> None:
        """Close all descriptors; attached and pinned programs keep the objects that they use."""
        for descriptor in (*self.programs.values(), *(one.fd for one in self.maps.values())):
            os.close(descriptor)
        self.programs, self.maps = {}, {}
