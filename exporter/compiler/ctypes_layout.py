"""The layouts of a map's keys and values, as the compiler describes them: for ctypes, and to be kept as text."""

from __future__ import annotations

import ctypes
import operator
import struct
from collections.abc import Callable
from typing import Any

# A name of C's, or of a struct: its name, its members (each with a name, a description and, of an array, its length
# in a list), and "struct" or "struct_packed".
Description = Any

_NUMBERS: dict[str, Any] = {
    "_Bool": ctypes.c_bool,
    "char": ctypes.c_char,
    "signed char": ctypes.c_byte,
    "unsigned char": ctypes.c_ubyte,
    "short": ctypes.c_short,
    "unsigned short": ctypes.c_ushort,
    "int": ctypes.c_int,
    "unsigned int": ctypes.c_uint,
    "long": ctypes.c_long,
    "unsigned long": ctypes.c_ulong,
    "long long": ctypes.c_longlong,
    "unsigned long long": ctypes.c_ulonglong,
}


def layout(description: Description) -> Any:
    """The type of ctypes. Raises KeyError or ValueError for what no struct of bpf/exec.h has, such as unions."""
    if isinstance(description, str):
        return _NUMBERS[description]
    name, members, *kind = description
    if kind not in ([], ["struct"], ["struct_packed"]):
        raise ValueError(f"{name} is a {kind[0]}, of which nothing is known")
    fields = []
    for member, inner, *length in members:
        if length and not isinstance(length[0], list):  # a struct within: the compiler gives it as one
            fields.append((member, layout([member, inner, *length])))
        else:
            fields.append((member, layout(inner) * length[0][0] if length else layout(inner)))
    packed = {"_pack_": 1} if kind == ["struct_packed"] else {}
    return type(name, (ctypes.Structure,), {**packed, "_fields_": fields})


def u64_reader(struct_type: type[ctypes.Structure], *names: str) -> Callable[[bytes], Any]:
    """A function from the raw value to the numbers of these members; those of an array come one after the other.

    One number alone comes as it is, more as a tuple. All members are 64-bit numbers. Raises LookupError for one that is
    not there.
    """
    words = struct.Struct(f"={ctypes.sizeof(struct_type) // 8}Q")
    wanted: list[int] = []
    for name in names:
        place = getattr(struct_type, name, None)
        if place is None:
            raise LookupError(f"there is no member {name}")
        wanted += range(place.offset // 8, (place.offset + place.size) // 8)
    pick = operator.itemgetter(*wanted)
    return lambda raw: pick(words.unpack(raw))
