"""BTF written by hand after the documentation of the format, for tests of its reader."""

import struct

INT, PTR, ARRAY, STRUCT, UNION, TYPEDEF, CONST, FUNC = 1, 2, 3, 4, 5, 8, 10, 12


class Builder:
    def __init__(self, first_id=1, first_string=0):
        self.types = b""
        self.strings = b"" if first_string else b"\0"
        self.first_string = first_string
        self.next_id = first_id

    def _name(self, name):
        if not name:
            return 0
        at = self.first_string + len(self.strings)
        self.strings += name.encode() + b"\0"
        return at

    def add(self, kind, name="", size=0, vlen=0, flag=0, trailer=b""):
        self.types += struct.pack("<III", self._name(name), flag << 31 | kind << 24 | vlen, size) + trailer
        self.next_id += 1
        return self.next_id - 1

    def integer(self, name, size):
        return self.add(INT, name, size, trailer=struct.pack("<I", size * 8))

    def pointer(self, target):
        return self.add(PTR, size=target)

    def array(self, element, count):
        return self.add(ARRAY, trailer=struct.pack("<III", element, element, count))

    def aggregate(self, kind, name, size, members, bitfields=False):
        """`members`: (name, type id, offset in bits[, size of the bit field])."""
        trailer = b""
        for member_name, type_id, bits, *width in members:
            offset = bits | (width[0] << 24 if width else 0)
            trailer += struct.pack("<III", self._name(member_name), type_id, offset)
        return self.add(kind, name, size, len(members), int(bitfields), trailer)

    def data(self):
        header = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(self.types), len(self.types), len(self.strings))
        return header + self.types + self.strings


def example():
    """struct outer: u32 a; at 8 a nameless union of inner *p and const u64 n[3]; u8 bits:3; u8 over:6; inner tail."""
    build = Builder()
    u8, u32, u64 = build.integer("u8", 1), build.integer("u32", 4), build.integer("u64", 8)
    inner = build.aggregate(STRUCT, "inner", 16, [("x", u64, 0), ("y", u32, 64)])
    pointer = build.pointer(inner)
    numbers = build.array(build.add(CONST, size=u64), 3)
    choice = build.aggregate(UNION, "", 24, [("p", pointer, 0), ("n", numbers, 0)])
    alias = build.add(TYPEDEF, "inner_t", inner)
    build.add(FUNC, "inner")  # functions and structs may share a name
    build.add(FUNC, "call")
    build.aggregate(
        STRUCT,
        "outer",
        56,
        [
            ("a", u32, 0),
            ("", build.add(CONST, size=choice), 64),
            ("bits", u8, 256, 3),
            ("over", u8, 261, 6),
            ("tail", alias, 320),
        ],
        bitfields=True,
    )
    return build
