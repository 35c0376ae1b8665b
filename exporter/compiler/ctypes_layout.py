"""The layouts of a map's keys and values, as the compiler describes them: for ctypes, and to be kept as text."""

from __future__ import annotations

import ctypes
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
    """The type of ctypes. Raises KeyError or ValueError for what no struct of bpf/event.h has, such as unions."""
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
