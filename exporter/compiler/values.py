"""From the bytes of a map's value to its numbers. The layouts are BCC's, which has them from the C."""

from __future__ import annotations

import ctypes
import operator
import struct
from collections.abc import Callable
from typing import Any


def numbers(layout: type[ctypes.Structure], *names: str) -> Callable[[bytes], Any]:
    """A function from the raw value to the numbers of these members; those of an array come one after the other.

    One number alone comes as it is, more as a tuple. All members are 64-bit numbers. Raises LookupError for one that is
    not there.
    """
    words = struct.Struct(f"={ctypes.sizeof(layout) // 8}Q")
    wanted: list[int] = []
    for name in names:
        place = getattr(layout, name, None)
        if place is None:
            raise LookupError(f"there is no member {name}")
        wanted += range(place.offset // 8, (place.offset + place.size) // 8)
    pick = operator.itemgetter(*wanted)
    return lambda raw: pick(words.unpack(raw))
