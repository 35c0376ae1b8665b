"""Reads a whole BPF hash map into raw bytes: in batches, or one by one where the kernel has no batches (before 5.6).

Every entry that exists throughout the reading is read exactly once; one that is added meanwhile may be read or not.
"""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Iterator

from exporter.kernel.bpf_map import UNSUPPORTED, Map
from exporter.kernel.libbpf import libbpf

Buffer = ctypes.Array[ctypes.c_char]

CHUNK = 4096  # entries


def read_entries(bpf_map: Map, chunk: int = CHUNK) -> Iterator[tuple[bytes, bytes]]:
    """Yield the key and value of each entry, reading `chunk` entries per system call. Raise OSError."""
    try:
        yield from _read_batches(bpf_map, min(chunk, bpf_map.max_entries))
    except _BatchesUnsupported:
        yield from _read_one_by_one(bpf_map)


class _BatchesUnsupported(Exception):
    pass


def _read_batches(bpf_map: Map, size: int) -> Iterator[tuple[bytes, bytes]]:
    keys, values = _buffers(bpf_map, size)
    position, following = None, ctypes.c_uint32()
    read, count, error = libbpf().bpf_map_lookup_batch, ctypes.c_uint32(), 0
    while error != errno.ENOENT:
        count.value, error = size, 0
        try:
            read(bpf_map.fd, position, ctypes.byref(following), keys, values, ctypes.byref(count), None)
        except OSError as raised:
            error = raised.errno or 0
            if error == errno.ENOSPC:  # one bucket holds more than a chunk
                size *= 2
                keys, values = _buffers(bpf_map, size)
                continue
            if error in UNSUPPORTED and position is None:
                raise _BatchesUnsupported from raised
            if error != errno.ENOENT:
                raise
        yield from _split(keys.raw, values.raw, bpf_map, count.value)
        position = ctypes.byref(ctypes.c_uint32(following.value))


def _buffers(bpf_map: Map, entries: int) -> tuple[Buffer, Buffer]:
    return ctypes.create_string_buffer(entries * bpf_map.key_size), ctypes.create_string_buffer(
        entries * bpf_map.value_size
    )


def _split(keys: bytes, values: bytes, bpf_map: Map, count: int) -> Iterator[tuple[bytes, bytes]]:
    key, value = bpf_map.key_size, bpf_map.value_size
    for index in range(count):
        yield keys[index * key : (index + 1) * key], values[index * value : (index + 1) * value]


def _read_one_by_one(bpf_map: Map) -> Iterator[tuple[bytes, bytes]]:
    key, value = _buffers(bpf_map, 1)
    before, lib = None, libbpf()
    while True:
        try:
            lib.bpf_map_get_next_key(bpf_map.fd, before, key)
        except FileNotFoundError:
            return
        before = key
        try:
            lib.bpf_map_lookup_elem(bpf_map.fd, key, value)
        except FileNotFoundError:
            continue
        yield key.raw, value.raw
