"""Reads a whole BPF hash map into raw bytes: many entries a system call, or one by one where the kernel has no batches.

Batches need Linux 5.6. Every entry that exists throughout the reading is read exactly once; what is added
meanwhile may be read or not.
"""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Iterator

from exporter.kernel.bpf_map import Map
from exporter.kernel.bpf_syscall import bpf

Buffer = ctypes.Array[ctypes.c_char]

LOOKUP_ELEM, GET_NEXT_KEY, LOOKUP_BATCH = 1, 4, 24
CHUNK = 4096  # entries
UNSUPPORTED = (errno.EINVAL, errno.ENOTSUP, getattr(errno, "ENOTSUPP", 524))


class _Batch(ctypes.Structure):
    """The part of union bpf_attr that BPF_MAP_LOOKUP_BATCH takes; include/uapi/linux/bpf.h."""

    _fields_ = (
        ("in_batch", ctypes.c_uint64),
        ("out_batch", ctypes.c_uint64),
        ("keys", ctypes.c_uint64),
        ("values", ctypes.c_uint64),
        ("count", ctypes.c_uint32),
        ("map_fd", ctypes.c_uint32),
        ("elem_flags", ctypes.c_uint64),
        ("flags", ctypes.c_uint64),
    )


class _Step(ctypes.Structure):
    """The part that BPF_MAP_GET_NEXT_KEY takes, where a first key is asked for by none, and BPF_MAP_LOOKUP_ELEM."""

    _fields_ = (
        ("map_fd", ctypes.c_uint32),
        ("key", ctypes.c_uint64),
        ("next_key_or_value", ctypes.c_uint64),
        ("flags", ctypes.c_uint64),
    )


def read_entries(bpf_map: Map, chunk: int = CHUNK) -> Iterator[tuple[bytes, bytes]]:
    """Yields key and value of each entry; `chunk` entries are asked for at once. Raises OSError."""
    try:
        yield from _read_batches(bpf_map, min(chunk, bpf_map.max_entries))
    except _BatchesUnsupported:
        yield from _read_one_by_one(bpf_map)


class _BatchesUnsupported(Exception):
    pass


def _read_batches(bpf_map: Map, size: int) -> Iterator[tuple[bytes, bytes]]:
    keys, values = _buffers(bpf_map, size)
    position, following = (ctypes.c_uint32(), ctypes.c_uint32())
    started = False
    while True:
        batch = _Batch(
            in_batch=ctypes.addressof(position) if started else 0,
            out_batch=ctypes.addressof(following),
            keys=ctypes.addressof(keys),
            values=ctypes.addressof(values),
            count=size,
            map_fd=bpf_map.fd,
        )
        error = 0
        try:
            bpf(LOOKUP_BATCH, batch)
        except OSError as raised:
            error = raised.errno or 0
            if error == errno.ENOSPC:  # one bucket holds more than a chunk
                size *= 2
                keys, values = _buffers(bpf_map, size)
                continue
            if error in UNSUPPORTED and not started:
                raise _BatchesUnsupported from raised
            if error != errno.ENOENT:
                raise
        yield from _split(keys.raw, values.raw, bpf_map, batch.count)
        if error == errno.ENOENT:
            return
        position.value, started = following.value, True


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
    before = 0
    while True:
        try:
            bpf(GET_NEXT_KEY, _Step(bpf_map.fd, before, ctypes.addressof(key)))
        except FileNotFoundError:
            return
        before = ctypes.addressof(key)
        try:
            bpf(LOOKUP_ELEM, _Step(bpf_map.fd, ctypes.addressof(key), ctypes.addressof(value)))
        except FileNotFoundError:
            continue
        yield key.raw, value.raw
