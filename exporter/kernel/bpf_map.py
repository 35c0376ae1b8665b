"""A BPF map and its entries, one at a time. map_reader.py reads whole maps."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from exporter.kernel.bpf_syscall import map_info
from exporter.kernel.libbpf import libbpf

ANY, NOEXIST = 0, 1
HASH, ARRAY, PROG_ARRAY, PERCPU_ARRAY, ARRAY_OF_MAPS, RINGBUF = 1, 2, 3, 6, 12, 27
NO_PREALLOC = 1
POSSIBLE_CPUS = Path("/sys/devices/system/cpu/possible")
WORD_BYTES = 8
ENOTSUPP = 524  # an error number of the kernel, without a name in user space
UNSUPPORTED = frozenset({errno.EINVAL, errno.ENOTSUP, ENOTSUPP})


class _CreateOptions(ctypes.Structure):
    """The beginning of struct bpf_map_create_opts; libbpf/src/bpf.h."""

    _fields_ = (
        ("sz", ctypes.c_size_t),
        ("btf_fd", ctypes.c_uint32),
        ("btf_key_type_id", ctypes.c_uint32),
        ("btf_value_type_id", ctypes.c_uint32),
        ("btf_vmlinux_value_type_id", ctypes.c_uint32),
        ("inner_map_fd", ctypes.c_uint32),
        ("map_flags", ctypes.c_uint32),
    )


@cache
def possible_cpus(possible: Path = POSSIBLE_CPUS) -> int:
    """Return the highest possible CPU number of this machine plus 1: 12 for '0-3,8-11', whose numbers have a gap."""
    ranges = possible.read_text("ascii").strip().replace(",", "-").split("-")
    return int(ranges[-1]) + 1


@dataclass(frozen=True)
class Map:
    """An open BPF map: its file descriptor, the sizes of keys and values in bytes, and its capacity in entries."""

    fd: int
    key_size: int
    value_size: int
    max_entries: int
    type: int = HASH

    @classmethod
    def create(
        cls,
        map_type: int,
        key_size: int,
        value_size: int,
        max_entries: int,
        flags: int = 0,
        name: str = "",
        inner: int = 0,
    ) -> Map:
        """Create a map; `inner` is the descriptor of a map like those that a map of maps holds. Raise OSError."""
        options = _CreateOptions(ctypes.sizeof(_CreateOptions), inner_map_fd=inner, map_flags=flags)
        sizes = key_size, value_size, max_entries
        descriptor = libbpf().bpf_map_create(map_type, name.encode("ascii"), *sizes, ctypes.byref(options))
        return cls(descriptor, *sizes, map_type)

    @classmethod
    def of(cls, descriptor: int) -> Map:
        """Return the map of a descriptor. Raise OSError."""
        info = map_info(descriptor)
        return cls(descriptor, info.key_size, info.value_size, info.max_entries, info.type)

    def put(self, key: bytes, value: bytes, *, new: bool = False) -> bool:
        """Set an entry, with `new` only if there is none; return True if it was set.

        Raise OSError, for example for a full map.
        """
        try:
            self._call("update", key, _padded(value, self.value_size), NOEXIST if new else ANY)
        except FileExistsError:
            return False
        return True

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a key, or None; for a per-CPU map, the values of all CPUs. Raise OSError."""
        value = ctypes.create_string_buffer(self._stride * self._cpus)
        with contextlib.suppress(FileNotFoundError):
            self._call("lookup", key, value)
            return value.raw
        return None

    def at(self, index: int) -> list[bytes]:
        """Return an element of an array: its values per CPU, or the shared one. Raise OSError."""
        raw = self.get(index.to_bytes(4, sys.byteorder))
        if raw is None:
            raise IndexError(index)
        return [raw[cpu * self._stride : cpu * self._stride + self.value_size] for cpu in range(self._cpus)]

    def set(self, index: int, value: bytes) -> None:
        """Set an element of an array. Raise OSError."""
        self.put(index.to_bytes(4, sys.byteorder), value)

    def remove(self, key: bytes) -> None:
        """Remove an entry, if it exists. Raise OSError."""
        with contextlib.suppress(FileNotFoundError):
            self._call("delete", key)

    def take(self, key: bytes) -> bytes | None:
        """Remove an entry and return its value, or None. Raise OSError.

        Before Linux 5.14 (3e87f192b405) these are two steps.
        """
        value = ctypes.create_string_buffer(self.value_size)
        try:
            self._call("lookup_and_delete", key, value)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                raise
            found = self.get(key)
            self.remove(key)
            return found
        return value.raw

    @property
    def _cpus(self) -> int:
        return possible_cpus() if self.type == PERCPU_ARRAY else 1

    @property
    def _stride(self) -> int:
        """Distance between the values of two CPUs in bytes."""
        return -(-self.value_size // WORD_BYTES) * WORD_BYTES if self.type == PERCPU_ARRAY else self.value_size

    def _call(self, operation: str, key: bytes, *rest: object) -> None:
        getattr(libbpf(hold_gil=True), f"bpf_map_{operation}_elem")(self.fd, _padded(key, self.key_size), *rest)


def _padded(data: bytes, size: int) -> bytes:
    """Return the bytes of a key or value, padded with zeros to the size that the kernel reads."""
    if len(data) > size:
        raise ValueError(f"{len(data)} bytes, where the map has {size}")
    return data.ljust(size, b"\0")
