"""Reads a whole BPF hash map into raw bytes, in batches (Linux 5.6).

Every entry that exists throughout the reading is read exactly once; one that is added meanwhile may be read or not.
"""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Iterator

from exporter.kernel.bpf_map import Map
from exporter.kernel.libbpf import libbpf

CHUNK = 4096  # entries


def read_entries(bpf_map: Map, chunk: int = CHUNK) -> Iterator[tuple[bytes, bytes]]:
    """Yield the key and value of each entry, reading `chunk` entries per system call. Raise OSError."""
    key, value, size = bpf_map.key_size, bpf_map.value_size, min(chunk, bpf_map.max_entries)
    keys, values = ctypes.create_string_buffer(size * key), ctypes.create_string_buffer(size * value)
    position, following, count = None, ctypes.c_uint32(), ctypes.c_uint32()
    last = False
    while not last:
        count.value = size
        batch = position, ctypes.byref(following), keys, values, ctypes.byref(count), None
        try:
            libbpf().bpf_map_lookup_batch(bpf_map.fd, *batch)
        except OSError as error:
            if error.errno == errno.ENOSPC:  # one bucket holds more than a chunk
                size *= 2
                keys, values = ctypes.create_string_buffer(size * key), ctypes.create_string_buffer(size * value)
                continue
            if error.errno != errno.ENOENT:
                raise
            last = True
        raw_keys, raw_values = keys.raw, values.raw
        for index in range(count.value):
            yield raw_keys[index * key : (index + 1) * key], raw_values[index * value : (index + 1) * value]
        position = ctypes.byref(ctypes.c_uint32(following.value))
