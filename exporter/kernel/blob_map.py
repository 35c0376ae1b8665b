"""Byte strings of any length in a BPF map, by number. Pinned, they outlive the process that wrote them.

A string is stored in parts. The first part makes it valid; it is written last and removed first, so a process that is
killed leaves a whole string or none, and parts that `recover` removes.
"""

from __future__ import annotations

import contextlib
import os
import struct
import zlib

from exporter.kernel.bpf_map import HASH, NO_PREALLOC, Map
from exporter.kernel.map_reader import read_entries

KEY = struct.Struct("=QII")  # number, part, padding
HEADER = struct.Struct("=II")  # starts the first part: length of the string in bytes, and its CRC-32
VALUE_BYTES = 3968  # an entry, with the kernel's overhead, fits into a page
CHUNK = 64  # entries read at once


class BlobMap:
    """Byte strings in a map. One process writes to it at a time; callers lock out other threads."""

    def __init__(self, bpf_map: Map) -> None:
        self.map = bpf_map

    @classmethod
    def create(cls, name: str, parts: int) -> BlobMap:
        """Create a map with room for so many parts; unused parts take no memory. Raise OSError."""
        return cls(Map.create(HASH, KEY.size, VALUE_BYTES, parts, NO_PREALLOC, name))

    def put(self, number: int, data: bytes) -> int:
        """Store a string under an unused number; return the number of parts it took.

        Raise OSError, for example for a full map; nothing is stored then.
        """
        whole = HEADER.pack(len(data), zlib.crc32(data)) + data
        parts = range(0, len(whole), VALUE_BYTES)
        try:
            for start in reversed(parts):
                self.map.put(KEY.pack(number, start // VALUE_BYTES, 0), whole[start : start + VALUE_BYTES])
        except OSError:
            with contextlib.suppress(OSError):
                for start in parts:
                    self.map.remove(KEY.pack(number, start // VALUE_BYTES, 0))
            raise
        return len(parts)

    def remove(self, number: int) -> None:
        """Remove a string, if it exists. Raise OSError."""
        first = self.map.get(KEY.pack(number, 0, 0))
        if first is None:
            return
        for part in range(min(_parts(first), self.map.max_entries)):
            self.map.remove(KEY.pack(number, part, 0))

    def recover(self) -> list[int]:
        """Remove parts that belong to no string; return the numbers of all strings, ascending. Raise OSError."""
        keys, parts = [], {}
        for key, value in read_entries(self.map, CHUNK):
            number, part, _ = KEY.unpack(key)
            keys.append((number, part, key))
            if part == 0:
                parts[number] = _parts(value)
        for number, part, key in keys:
            if part >= parts.get(number, 0):
                self.map.remove(key)
        return sorted(parts)

    def get(self, number: int) -> bytes | None:
        """Return a string; None if there is none of that number, or if it is damaged. Raise OSError."""
        whole = self.map.get(KEY.pack(number, 0, 0))
        if whole is None:
            return None
        length, checksum = HEADER.unpack_from(whole)
        if _parts(whole) > self.map.max_entries:
            return None
        whole += b"".join(self.map.get(KEY.pack(number, part, 0)) or b"" for part in range(1, _parts(whole)))
        data = whole[HEADER.size : HEADER.size + length]
        return data if len(data) == length and zlib.crc32(data) == checksum else None

    def read(self) -> dict[int, bytes]:
        """Recover; return all strings by number, ascending, without damaged ones. Raise OSError."""
        found = {number: self.get(number) for number in self.recover()}
        return {number: data for number, data in found.items() if data is not None}

    def close(self) -> None:
        """Close the map."""
        os.close(self.map.fd)


def _parts(first: bytes) -> int:
    """Return how many parts a string has, by its first part."""
    length, _ = HEADER.unpack_from(first)
    return -(-(HEADER.size + int(length)) // VALUE_BYTES)
