"""Declarations in C of the kernel types that a program reads, for the running kernel: BTF in, text out.

A feature of the program needs members of structs. Where a member was moved or renamed, the feature has several layouts,
newest first. A feature is missing if the kernel has none of them; the program is compiled without it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from exporter.compiler.btf import ARRAY, BTF, ENUM, ENUM64, INT, PTR, STRUCT, UNION, Type

SCALARS = {1: "u8", 2: "u16", 4: "u32", 8: "u64"}


@dataclass(frozen=True)
class Members:
    """Members, as `struct.member`, that exist together; `macro` is defined if this layout is used."""

    members: tuple[str, ...]
    macro: str = ""


@dataclass(frozen=True)
class Feature:
    """An ability of the program, which needs one of `layouts`: HAVE_<NAME> in C. `without` describes its absence."""

    name: str
    without: str
    layouts: tuple[Members, ...]


@dataclass(frozen=True)
class KernelTypes:
    """The declarations in C, and the missing features."""

    header: str
    missing: tuple[Feature, ...]


def kernel_types(btf: BTF, features: Iterable[Feature], without: Collection[str] = ()) -> KernelTypes:
    """Declare the members that the features need, each at its offset; skip the features named in `without`.

    Raise BTFError.
    """
    missing: list[Feature] = []
    macros: list[str] = []
    wanted: dict[str, dict[str, None]] = {}
    for feature in features:
        layouts = () if feature.name in without else feature.layouts
        layout = next((layout for layout in layouts if _exists(btf, layout)), None)
        if layout is None:
            missing.append(feature)
            continue
        macros.append(f"HAVE_{feature.name.upper()}")
        if layout.macro:
            macros.append(layout.macro)
        for member in layout.members:
            struct_name, _, name = member.partition(".")
            wanted.setdefault(struct_name, {})[name] = None
    emitter = _Emitter(btf, wanted)
    lines = ["/* Generated from the BTF of the running kernel. */", "#pragma once"]
    lines += [f"#define {macro} 1" for macro in macros]
    lines += [f"struct {name};" for name in wanted]
    lines.append(_type_ids(btf, (*wanted, *({"rb_node"} - wanted.keys()))))
    lines += emitter.declarations()
    return KernelTypes("\n".join(lines) + "\n", tuple(missing))


def _type_ids(btf: BTF, names: Collection[str]) -> str:
    """Define TYPE_ID(pointer): the BTF id of the struct that a pointer points to; 0 for structs of modules."""
    ids = {name: btf.find(name) or 0 for name in names}
    known = ", ".join(f"struct {name} *: {number}" for name, number in ids.items() if number < btf.module_id)
    return f"#define TYPE_ID(pointer) _Generic((pointer), {known}, default: 0)"


def _exists(btf: BTF, layout: Members) -> bool:
    return all(btf.member(*member.split(".", 1)) is not None for member in layout.members)


class _Emitter:
    """Declares structs, embedded ones before those that contain them."""

    def __init__(self, btf: BTF, wanted: dict[str, dict[str, None]]) -> None:
        self._btf = btf
        self._wanted = wanted
        self._declared: dict[str, list[str]] = {}

    def declarations(self) -> list[str]:
        for name in self._wanted:
            self._declare(name)
        return [line for lines in self._declared.values() for line in lines]

    def _declare(self, name: str) -> None:
        if name in self._declared:
            return
        body, checks = [], []
        for member_name in self._wanted[name]:
            member = self._btf.member(name, member_name)
            assert member is not None  # noqa: S101 - the feature was chosen because it exists
            padding = f"u8 _at_{member_name}[{member.offset}]; " if member.offset else ""
            declarator = f"u8 {member_name}" if member.mask else self._declarator(member.type_id, member_name)
            body.append(f"\t\tstruct {{ {padding}{declarator}; }};")
            if member.mask:  # a bit field is declared as its byte, with its bits as a macro
                checks.append(f"#define {name}_{member_name}_MASK {member.mask:#x}")
            checks.append(
                f'_Static_assert(__builtin_offsetof(struct {name}, {member_name}) == {member.offset}, "{name}");'
            )
        self._declared[name] = [f"struct {name} {{", "\tunion {", *body, "\t};", "};", *checks]

    def _declarator(self, type_id: int, name: str) -> str:
        """Return a declaration of `name` with the type's size and alignment, and its name where C reads through it."""
        kernel_type = self._btf.resolve(type_id)
        if kernel_type.kind == PTR:
            return self._pointer(kernel_type, name)
        if kernel_type.kind in (INT, ENUM, ENUM64) and kernel_type.size in SCALARS:
            return f"{SCALARS[kernel_type.size]} {name}"
        if kernel_type.kind == ARRAY:
            return f"{self._declarator(kernel_type.element, name)}[{kernel_type.count}]"
        if kernel_type.kind in (STRUCT, UNION) and kernel_type.name in self._wanted:
            self._declare(kernel_type.name)
            return f"struct {kernel_type.name} {name}"
        return f"u8 {name}[{kernel_type.size}]"

    def _pointer(self, pointer: Type, name: str) -> str:
        target = self._btf.resolve(pointer.element)
        if target.kind == STRUCT and target.name in self._wanted:
            return f"struct {target.name} *{name}"
        if target.kind == INT and target.size == 1:
            return f"const char *{name}"
        return f"void *{name}"
