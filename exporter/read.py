"""Reads a whole BPF hash map into raw bytes: many entries a system call, or one by one where the kernel has no batches.

Batches need Linux 5.6. Every entry that exists throughout the reading is read exactly once; what is added
meanwhile may be read or not.
"""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Iterator
from typing import Any

from exporter.bpf_map import Map

Buffer = ctypes.Array[ctypes.c_char]

CHUNK = 4096  # entries
UNSUPPORTED = (errno.EINVAL, errno.ENOTSUP, getattr(errno, "ENOTSUPP", 524))


def read_entries(lib: Any, bpf_map: Map, chunk: int = CHUNK) -> Iterator[tuple[bytes, bytes]]:
    """Yields key and value of each entry; `lib` is BCC's library, `chunk` entries are asked for at once.

    Raises OSError.
    """
    try:
        yield from _read_batches(lib, bpf_map, min(chunk, bpf_map.max_entries))
    except _BatchesUnsupported:
        yield from _read_one_by_one(lib, bpf_map)


class _BatchesUnsupported(Exception):
    pass


def _error(result: int) -> int:
    """The errno of a call; libbpf says it in one of two ways."""
    return -result if result < -1 else ctypes.get_errno()


def _read_batches(lib: Any, bpf_map: Map, size: int) -> Iterator[tuple[bytes, bytes]]:
    keys, values = _buffers(bpf_map, size)
    cursor, position = ctypes.c_uint32(), None
    while True:
        count = ctypes.c_uint32(size)
        next_cursor = ctypes.c_uint32()
        result = lib.bpf_lookup_batch(
            bpf_map.fd,
            position,
            ctypes.byref(next_cursor),
            keys,  # not ctypes.cast: its result is garbage that only the cycle collector finds
            values,
            ctypes.byref(count),
        )
        error = _error(result) if result < 0 else 0
        if error == errno.ENOSPC:  # one bucket holds more than a chunk
            size *= 2
            keys, values = _buffers(bpf_map, size)
            continue
        if error in UNSUPPORTED and position is None:
            raise _BatchesUnsupported
        if error not in (0, errno.ENOENT):
            raise OSError(error, "reading a map of the probe")
        yield from _split(keys.raw, values.raw, bpf_map, count.value)
        if error == errno.ENOENT:
            return
        cursor.value = next_cursor.value
        position = ctypes.byref(cursor)


def _buffers(bpf_map: Map, entries: int) -> tuple[Buffer, Buffer]:
    return ctypes.create_string_buffer(entries * bpf_map.key_size), ctypes.create_string_buffer(
        entries * bpf_map.value_size
    )


def _split(keys: bytes, values: bytes, bpf_map: Map, count: int) -> Iterator[tuple[bytes, bytes]]:
    key, value = bpf_map.key_size, bpf_map.value_size
    for index in range(count):
        yield keys[index * key : (index + 1) * key], values[index * value : (index + 1) * value]


def _read_one_by_one(lib: Any, bpf_map: Map) -> Iterator[tuple[bytes, bytes]]:
    key = ctypes.create_string_buffer(bpf_map.key_size)
    value = ctypes.create_string_buffer(bpf_map.value_size)
    result = lib.bpf_get_first_key(bpf_map.fd, key, bpf_map.key_size)
    while result >= 0:
        if lib.bpf_lookup_elem(bpf_map.fd, key, value) >= 0:
            yield key.raw, value.raw
        result = lib.bpf_get_next_key(bpf_map.fd, key, key)
    if _error(result) != errno.ENOENT:
        raise OSError(_error(result), "reading a map of the probe")
