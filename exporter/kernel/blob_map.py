"""Byte strings of any length in a BPF map, by number: pinned, they outlive the process that wrote them.

A string is cut into parts. It is there once its first part is, which is written last and taken away first: a process
that is killed meanwhile leaves either all of a string or nothing that is taken for one.
"""

from __future__ import annotations

import contextlib
import os
import struct
import zlib

from exporter.kernel.bpf_map import HASH, NO_PREALLOC, Map
from exporter.kernel.map_reader import read_entries

KEY = struct.Struct("=QII")  # number, part, nothing
HEADER = struct.Struct("=II")  # of the first part: length of the string in bytes, and its CRC-32
VALUE_BYTES = 3968  # with what the kernel adds to each, not more than a page


class BlobMap:
    """Such a map, to which nobody else writes meanwhile."""

    def __init__(self, bpf_map: Map) -> None:
        self.map = bpf_map

    @classmethod
    def create(cls, name: str, parts: int) -> BlobMap:
        """A new one that has room for so many parts; what is not used takes no memory. Raises OSError."""
        return cls(Map.create(HASH, KEY.size, VALUE_BYTES, parts, NO_PREALLOC, name))

    def put(self, number: int, data: bytes) -> int:
        """Adds a string under a number that has none; returns how many parts it took.

        Raises OSError, as for a full map, and leaves nothing then.
        """
        whole = HEADER.pack(len(data), zlib.crc32(data)) + data
        parts = range(0, len(whole), VALUE_BYTES)
        try:
            for at in reversed(parts):
                self.map.put(KEY.pack(number, at // VALUE_BYTES, 0), whole[at : at + VALUE_BYTES])
        except OSError:
            with contextlib.suppress(OSError):
                for at in parts:
                    self.map.remove(KEY.pack(number, at // VALUE_BYTES, 0))
            raise
        return len(parts)

    def remove(self, number: int) -> None:
        """Removes a string, if it is there. Raises OSError."""
        first = self.map.get(KEY.pack(number, 0, 0))
        if first is None:
            return
        length, _ = HEADER.unpack_from(first)
        for part in range(-(-(HEADER.size + length) // VALUE_BYTES)):
            self.map.remove(KEY.pack(number, part, 0))

    def clear(self) -> None:
        """Removes everything, also what somebody did not come to the end of writing. Raises OSError."""
        for key in [key for key, _ in read_entries(self.map)]:
            self.map.remove(key)

    def numbers(self) -> list[int]:
        """Return the numbers of all strings, ascending. Raise OSError."""
        keys = (KEY.unpack(key) for key, _ in read_entries(self.map))
        return sorted(number for number, part, _ in keys if part == 0)

    def get(self, number: int) -> bytes | None:
        """Return a string; None if there is none with that number, or it is damaged. Raise OSError."""
        whole = self.map.get(KEY.pack(number, 0, 0))
        if whole is None:
            return None
        length, checksum = HEADER.unpack_from(whole)
        for part in range(1, -(-(HEADER.size + length) // VALUE_BYTES)):
            whole += self.map.get(KEY.pack(number, part, 0)) or b""
        data = whole[HEADER.size : HEADER.size + length]
        return data if len(data) == length and zlib.crc32(data) == checksum else None

    def read(self) -> dict[int, bytes]:
        """Return all strings by number, ascending, without damaged ones. Raise OSError."""
        found = {number: self.get(number) for number in self.numbers()}
        return {number: data for number, data in found.items() if data is not None}

    def close(self) -> None:
        """Closes the map."""
        os.close(self.map.fd)
