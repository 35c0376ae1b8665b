"""One entry of a BPF map at a time, by bpf(2): put in, looked up, taken out."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from exporter.kernel.bpf_syscall import bpf, map_info

LOOKUP, UPDATE, DELETE, LOOKUP_AND_DELETE = 1, 2, 3, 21
ANY, NOEXIST = 0, 1
HASH, ARRAY, PROG_ARRAY, PERCPU_ARRAY, ARRAY_OF_MAPS = 1, 2, 3, 6, 12
NO_PREALLOC = 1
POSSIBLE_CPUS = Path("/sys/devices/system/cpu/possible")
WORD_BYTES = 8


class _Element(ctypes.Structure):
    """The part of union bpf_attr that BPF_MAP_*_ELEM take; include/uapi/linux/bpf.h."""

    _fields_ = (
        ("map_fd", ctypes.c_uint32),
        ("key", ctypes.c_uint64),
        ("value", ctypes.c_uint64),
        ("flags", ctypes.c_uint64),
    )


@cache
def possible_cpus() -> int:
    """How many CPUs this machine can have: '0-3,8-11' is 12, since numbers may be left out."""
    ranges = POSSIBLE_CPUS.read_text("ascii").strip().replace(",", "-").split("-")
    return int(ranges[-1]) + 1


@dataclass(frozen=True)
class Map:
    """An open BPF map: its file descriptor, the sizes of keys and values in bytes, and what fits into it."""

    fd: int
    key_size: int
    value_size: int
    max_entries: int
    type: int = HASH

    @classmethod
    def of(cls, descriptor: int) -> Map:
        """A map of which there is a descriptor. Raises OSError."""
        info = map_info(descriptor)
        return cls(descriptor, info.key_size, info.value_size, info.max_entries, info.type)

    def put(self, key: bytes, value: bytes, *, new: bool = False) -> bool:
        """Sets an entry; with `new` only if there is none. Whether it was set. Raises OSError, as for a full map."""
        try:
            self._do(UPDATE, key, ctypes.create_string_buffer(value, self.value_size), NOEXIST if new else ANY)
        except FileExistsError:
            return False
        return True

    def get(self, key: bytes) -> bytes | None:
        """The value of a key; None: there is none. Of a per-CPU map, the values of all CPUs. Raises OSError."""
        value = ctypes.create_string_buffer(self._stride * self._cpus)
        with contextlib.suppress(FileNotFoundError):
            self._do(LOOKUP, key, value)
            return value.raw
        return None

    def at(self, index: int) -> list[bytes]:
        """The element of an array: its value on each CPU, one alone if they share it. Raises OSError."""
        raw = self.get(index.to_bytes(4, sys.byteorder))
        if raw is None:
            raise IndexError(index)
        return [raw[cpu * self._stride : cpu * self._stride + self.value_size] for cpu in range(self._cpus)]

    def set(self, index: int, value: bytes) -> None:
        """Sets an element of an array. Raises OSError."""
        self.put(index.to_bytes(4, sys.byteorder), value)

    @property
    def _cpus(self) -> int:
        return possible_cpus() if self.type == PERCPU_ARRAY else 1

    @property
    def _stride(self) -> int:
        """Bytes from one CPU's value to the next one's."""
        return -(-self.value_size // WORD_BYTES) * WORD_BYTES if self.type == PERCPU_ARRAY else self.value_size

    def remove(self, key: bytes) -> None:
        """Removes an entry, if it is there. Raises OSError."""
        with contextlib.suppress(FileNotFoundError):
            self._do(DELETE, key, None)

    def take(self, key: bytes) -> bytes | None:
        """Removes an entry and returns its value; None: there is none. Raises OSError.

        Before Linux 5.14 (3e87f192b405) these are two steps.
        """
        value = ctypes.create_string_buffer(self.value_size)
        try:
            self._do(LOOKUP_AND_DELETE, key, value)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP, 524):
                raise
            found = self.get(key)
            self.remove(key)
            return found
        return value.raw

    def _do(self, command: int, key: bytes, value: ctypes.Array[ctypes.c_char] | None, flags: int = 0) -> None:
        buffer = ctypes.create_string_buffer(key, self.key_size)
        address = ctypes.addressof(value) if value is not None else 0
        bpf(command, _Element(self.fd, ctypes.addressof(buffer), address, flags), hold_gil=True)
