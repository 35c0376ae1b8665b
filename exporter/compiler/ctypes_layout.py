"""Layouts of keys and values: from BCC's description, which can be stored as JSON, to ctypes and to fast readers."""

from __future__ import annotations

import ctypes
import operator
import struct
from collections.abc import Callable
from typing import Any

# A name of a C type; or of a struct its name, its members and "struct" or "struct_packed". A member has a name, a
# description and, if it is an array, its length in a list.
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
    """Return the ctypes type of a description. Raise KeyError or ValueError for unsupported types, such as unions."""
    if isinstance(description, str):
        return _NUMBERS[description]
    name, members, *kind = description
    if kind not in ([], ["struct"], ["struct_packed"]):
        raise ValueError(f"{name} is a {kind[0]}, which is not supported")
    fields = []
    for member, inner, *length in members:
        if length and not isinstance(length[0], list):  # an embedded struct
            fields.append((member, layout([member, inner, *length])))
        else:
            fields.append((member, layout(inner) * length[0][0] if length else layout(inner)))
    packed = {"_pack_": 1} if kind == ["struct_packed"] else {}
    return type(name, (ctypes.Structure,), {**packed, "_fields_": fields})


def u64_reader(struct_type: type[ctypes.Structure], *names: str) -> Callable[[bytes], Any]:
    """Return a function that reads members of a struct of 64-bit numbers from a raw value, an array as its elements.

    It returns one number as such, several as a tuple. Raise LookupError for an unknown member.
    """
    words = struct.Struct(f"={ctypes.sizeof(struct_type) // 8}Q")
    wanted: list[int] = []
    for name in names:
        place = getattr(struct_type, name, None)
        if place is None:
            raise LookupError(f"{struct_type.__name__} has no member {name}")
        wanted += range(place.offset // 8, (place.offset + place.size) // 8)
    pick = operator.itemgetter(*wanted)
    return lambda raw: pick(words.unpack(raw))
