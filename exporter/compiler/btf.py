"""BTF, the kernel's own description of its types, read through libbpf. The format: Documentation/bpf/btf.rst."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import weakref
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from exporter.kernel.libbpf import libbpf

TYPE = struct.Struct("<III")  # of a type, of the array after it, and of each member after it

INT, PTR, ARRAY, STRUCT, UNION, ENUM, TYPEDEF, VOLATILE, CONST, RESTRICT = 1, 2, 3, 4, 5, 6, 8, 9, 10, 11
FUNC, TYPE_TAG, ENUM64 = 12, 18, 19
MODIFIERS = frozenset({TYPEDEF, VOLATILE, CONST, RESTRICT, TYPE_TAG})

DAMAGED = frozenset({errno.EIO, errno.EPROTO, errno.EINVAL})  # libbpf's errors about the content of a file


class BTFError(ValueError):
    """The file is not BTF, or incomplete or damaged BTF."""


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

    Immutable. Raise OSError where the file cannot be read, BTFError for damaged BTF.
    """

    def __init__(self, path: Path, base: BTF | None = None) -> None:
        self._base = base  # libbpf reads it as long as this object lives
        self._btf: int | None = libbpf().btf__parse_raw_split(bytes(path), base._btf if base else None)
        if not self._btf:
            number = ctypes.get_errno()
            if number in DAMAGED:
                raise BTFError(f"{path} is not BTF, or damaged ({os.strerror(number)})")
            raise OSError(number, os.strerror(number), str(path))
        weakref.finalize(self, libbpf().btf__free, self._btf)

    @property
    def module_id(self) -> int:
        """The first id of a module's types; those below are the kernel's."""
        return int(libbpf().btf__type_cnt((self._base or self)._btf))

    def find(self, name: str) -> int | None:
        """Return the id of a struct or union, or None."""
        return self._find(name, STRUCT) or self._find(name, UNION)

    def typedef(self, name: str) -> int | None:
        """Return the id of a typedef, or None."""
        return self._find(name, TYPEDEF)

    def functions(self, names: Collection[str]) -> dict[str, int]:
        """Return the ids of those of the named functions that exist."""
        return {name: type_id for name in names if (type_id := self._find(name, FUNC))}

    def _find(self, name: str, kind: int) -> int | None:
        type_id = int(libbpf().btf__find_by_name_kind(self._btf, name.encode("ascii"), kind))
        return type_id if type_id > 0 else None

    def resolve(self, type_id: int) -> Type:
        """Return the type behind typedefs and qualifiers; id 0 is void. Raise BTFError."""
        type_id, kind, (name, _, target), after = self._unqualified(type_id)
        size = max(0, libbpf().btf__resolve_size(self._btf, type_id))  # negative for void and functions
        if kind == ARRAY:
            element, _, count = TYPE.unpack(ctypes.string_at(after, TYPE.size))
            return Type(kind, "", size, element, count)
        return Type(kind, self._string(name), size, element=target if kind == PTR else 0)

    def member(self, struct_name: str, member_name: str) -> Member | None:
        """Return a member of a named struct or of its anonymous members, or None. Raise BTFError.

        Bit fields are found only if they lie in one byte.
        """
        type_id = self.find(struct_name)
        try:
            return None if type_id is None else self._member(type_id, member_name, 0)
        except RecursionError as error:
            raise BTFError(f"BTF is damaged: struct {struct_name} contains itself") from error

    def _member(self, type_id: int, wanted: str, base_offset: int) -> Member | None:
        _, kind, (_, info, _), after = self._unqualified(type_id)
        count = info & 0xFFFF if kind in (STRUCT, UNION) else 0
        for name, member_type, bits in TYPE.iter_unpack(ctypes.string_at(after, TYPE.size * count)):
            width, at = divmod(bits, 1 << 24) if info >> 31 else (0, bits)  # the top bit: it has bit fields
            offset, at_bit = base_offset + at // 8, at % 8
            if name and at_bit + width <= 8 and self._string(name) == wanted:
                return Member(offset, member_type, ((1 << width) - 1) << at_bit)
            found = None if name or width else self._member(member_type, wanted, offset)
            if found:
                return found
        return None

    def _unqualified(self, type_id: int) -> tuple[int, int, tuple[int, int, int], int]:
        """Return the id behind modifiers, its kind, its name, info and target, and the address of what follows them."""
        for _ in range(64):
            address = libbpf().btf__type_by_id(self._btf, type_id)
            if not address:
                raise BTFError(f"BTF is damaged: it has no type {type_id}")
            name, info, target = TYPE.unpack(ctypes.string_at(address, TYPE.size))
            if (kind := info >> 24 & 31) not in MODIFIERS:
                return type_id, kind, (name, info, target), address + TYPE.size
            type_id = target
        raise BTFError(f"BTF is damaged: type {type_id} refers to itself")

    def _string(self, offset: int) -> str:
        text: bytes | None = libbpf().btf__name_by_offset(self._btf, offset)
        if text is None:
            raise BTFError(f"BTF is damaged: it has no string at {offset}")
        return text.decode("ascii", "replace")
