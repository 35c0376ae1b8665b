"""One entry of a BPF hash map at a time, by bpf(2): put in, looked up, taken out."""

from __future__ import annotations

import contextlib
import ctypes
import errno
from dataclasses import dataclass

from exporter.bpf_syscall import bpf

LOOKUP, UPDATE, DELETE, LOOKUP_AND_DELETE = 1, 2, 3, 21
ANY, NOEXIST = 0, 1


class _Element(ctypes.Structure):
    """The part of union bpf_attr that BPF_MAP_*_ELEM take; include/uapi/linux/bpf.h."""

    _fields_ = (
        ("map_fd", ctypes.c_uint32),
        ("key", ctypes.c_uint64),
        ("value", ctypes.c_uint64),
        ("flags", ctypes.c_uint64),
    )


@dataclass(frozen=True)
class Map:
    """An open BPF map: its file descriptor, the sizes of keys and values in bytes, and what fits into it."""

    fd: int
    key_size: int
    value_size: int
    max_entries: int

    def put(self, key: bytes, value: bytes, *, new: bool = False) -> bool:
        """Sets an entry; with `new` only if there is none. Whether it was set. Raises OSError, as for a full map."""
        try:
            self._do(UPDATE, key, ctypes.create_string_buffer(value, self.value_size), NOEXIST if new else ANY)
        except FileExistsError:
            return False
        return True

    def get(self, key: bytes) -> bytes | None:
        """The value of a key; None: there is none. Raises OSError."""
        value = ctypes.create_string_buffer(self.value_size)
        with contextlib.suppress(FileNotFoundError):
            self._do(LOOKUP, key, value)
            return value.raw
        return None

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
        bpf(command, _Element(self.fd, ctypes.addressof(buffer), address, flags))
