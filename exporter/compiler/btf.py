"""BTF, the kernel's own description of its types: bytes in, structs out. The format: Documentation/bpf/btf.rst."""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

MAGIC = 0xEB9F
HEADER = struct.Struct("<HBBIIIII")
TYPE = struct.Struct("<III")

INT, PTR, ARRAY, STRUCT, UNION, ENUM, TYPEDEF, VOLATILE, CONST, RESTRICT = 1, 2, 3, 4, 5, 6, 8, 9, 10, 11
FUNC, FUNC_PROTO, VAR, DATASEC, DECL_TAG, TYPE_TAG, ENUM64 = 12, 13, 14, 15, 17, 18, 19
MODIFIERS = frozenset({TYPEDEF, VOLATILE, CONST, RESTRICT, TYPE_TAG})

# Bytes after the 12 of each type: (fixed, per member).
TRAILERS = {
    INT: (4, 0),
    ARRAY: (12, 0),
    STRUCT: (0, 12),
    UNION: (0, 12),
    ENUM: (0, 8),
    FUNC_PROTO: (0, 8),
    VAR: (4, 0),
    DATASEC: (0, 12),
    DECL_TAG: (4, 0),
    ENUM64: (0, 12),
}


class BTFError(ValueError):
    """The bytes are not BTF, or incomplete or damaged BTF."""


@contextmanager
def _damage_is_an_error() -> Iterator[None]:
    """Raise BTFError for offsets outside of the data and for endless recursion."""
    try:
        yield
    except (struct.error, IndexError, RecursionError) as error:
        raise BTFError(f"BTF is damaged: {error}") from error


@dataclass(frozen=True)
class Member:
    """A member of a struct, at `offset` bytes from the struct's start, of type `type_id`.

    `mask` has the bits of a bit field in the byte at `offset`; it is 0 for other members.
    """

    offset: int
    type_id: int
    mask: int = 0


@dataclass(frozen=True)
class Type:
    """A type without its modifiers. `size` is in bytes; `element` is the id of an array's or a pointer's target."""

    kind: int
    name: str
    size: int
    element: int = 0
    count: int = 0


class BTF:
    """The types of a kernel or, with `base`, of one of its modules, whose ids and strings continue the kernel's.

    Immutable. Raise BTFError for damaged bytes.
    """

    def __init__(self, data: bytes, base: BTF | None = None) -> None:
        with _damage_is_an_error():
            magic, _, _, header_size, types_at, types_size, strings_at, strings_size = HEADER.unpack_from(data)
            if magic != MAGIC:
                raise BTFError(f"not BTF: it starts with {magic:#x}, not {MAGIC:#x}")
            types_at += header_size
            strings_at += header_size
            if max(types_at + types_size, strings_at + strings_size) > len(data):
                raise BTFError(f"BTF is cut short: {len(data)} bytes")
            self._data = data
            self._base = base
            self._strings = data[strings_at : strings_at + strings_size]
            self._first_id = base.end_id if base else 1
            self._first_string = base.end_string if base else 0
            self._offsets: list[int] = []
            self._aggregates: dict[str, int] = {}
            self._index(types_at, types_at + types_size)

    @property
    def end_id(self) -> int:
        """The id of a module's first type."""
        return self._first_id + len(self._offsets)

    @property
    def module_id(self) -> int:
        """The first id of a module's types; those below are the kernel's."""
        return self._base.module_id if self._base else self.end_id

    @property
    def end_string(self) -> int:
        """The offset of a module's first string."""
        return self._first_string + len(self._strings)

    def _index(self, at: int, end: int) -> None:
        """Store the position of each type, and the ids of named structs and unions."""
        unpack, offsets, trailers = TYPE.unpack_from, self._offsets, TRAILERS
        while at < end:
            name, info, _ = unpack(self._data, at)
            kind = info >> 24 & 31
            offsets.append(at)
            if name and kind in (STRUCT, UNION):
                self._aggregates.setdefault(self._string(name), self._first_id + len(offsets) - 1)
            fixed, each = trailers.get(kind, (0, 0))
            at += 12 + fixed + each * (info & 0xFFFF)

    def _string(self, offset: int) -> str:
        if self._base and offset < self._first_string:
            return self._base._string(offset)
        start = offset - self._first_string
        end = self._strings.find(0, start)
        if end < 0:
            raise BTFError(f"BTF is damaged: it has no string at {offset}")
        return self._strings[start:end].decode("ascii", "replace")

    def _at(self, type_id: int) -> tuple[BTF, int]:
        if self._base and type_id < self._first_id:
            return self._base._at(type_id)
        if not 0 < type_id < self.end_id:
            raise BTFError(f"BTF is damaged: it has no type {type_id}")
        return self, self._offsets[type_id - self._first_id]

    def resolve(self, type_id: int) -> Type:
        """Return the type behind typedefs and qualifiers; id 0 is void. Raise BTFError."""
        with _damage_is_an_error():
            return self._resolve(type_id)

    def _resolve(self, type_id: int) -> Type:
        if type_id == 0:
            return Type(0, "void", 0)
        owner, at = self._at(type_id)
        name, info, size = TYPE.unpack_from(owner._data, at)
        kind = info >> 24 & 31
        if kind in MODIFIERS:
            return self._resolve(size)
        text = owner._string(name) if name else ""
        if kind == PTR:
            return Type(kind, text, 8, element=size)
        if kind == ARRAY:
            element, _, count = TYPE.unpack_from(owner._data, at + 12)
            return Type(kind, text, self._resolve(element).size * count, element, count)
        return Type(kind, text, size)

    def find(self, name: str) -> int | None:
        """Return the id of a struct or union, or None."""
        found = self._aggregates.get(name)
        return found if found is not None or self._base is None else self._base.find(name)

    def functions(self, names: Collection[str]) -> dict[str, int]:
        """Return the ids of those of the named functions that exist."""
        return self._ids(FUNC, names)

    def typedef(self, name: str) -> int | None:
        """Return the id of a typedef, or None."""
        return self._ids(TYPEDEF, (name,)).get(name)

    def _ids(self, kind: int, names: Collection[str]) -> dict[str, int]:
        found = dict(self._base._ids(kind, names)) if self._base else {}
        wanted = {name.encode("ascii"): name for name in names if name not in found}
        for index, at in enumerate(self._offsets if wanted else ()):
            at_name, info, _ = TYPE.unpack_from(self._data, at)
            if info >> 24 & 31 == kind and at_name >= self._first_string:
                start = at_name - self._first_string
                name = wanted.get(self._strings[start : self._strings.find(0, start)])
                if name is not None:
                    found[name] = self._first_id + index
        return found

    def member(self, struct_name: str, member_name: str) -> Member | None:
        """Return a member of a named struct or of its anonymous members, or None. Raise BTFError.

        Bit fields are found only if they lie in one byte.
        """
        type_id = self.find(struct_name)
        with _damage_is_an_error():
            return None if type_id is None else self._member(type_id, member_name, 0)

    def _member(self, type_id: int, wanted: str, base_offset: int) -> Member | None:
        owner, at = self._at(type_id)
        _, info, _ = TYPE.unpack_from(owner._data, at)
        has_bitfields = info >> 31
        for index in range(info & 0xFFFF):
            name, member_type, offset = TYPE.unpack_from(owner._data, at + 12 + 12 * index)
            bitfield = offset >> 24 if has_bitfields else 0
            at_bit = (offset & 0xFFFFFF if has_bitfields else offset) % 8
            offset = base_offset + (offset & 0xFFFFFF if has_bitfields else offset) // 8
            if name:
                if at_bit + bitfield <= 8 and owner._string(name) == wanted:
                    return Member(offset, member_type, ((1 << bitfield) - 1) << at_bit)
                continue
            inner = self._resolve(member_type)
            if inner.kind in (STRUCT, UNION) and not bitfield:
                found = self._member(self._unqualified(member_type), wanted, offset)
                if found:
                    return found
        return None

    def _unqualified(self, type_id: int) -> int:
        owner, at = self._at(type_id)
        _, info, target = TYPE.unpack_from(owner._data, at)
        return self._unqualified(target) if (info >> 24 & 31) in MODIFIERS else type_id
