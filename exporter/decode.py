"""From the kernel's bytes to what they say. The layouts are BCC's, which has them from the C."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

from exporter.event import STDIN_TYPES, enum

_FLAGS = enum("key_flag")
_TEXTS = {number: name.removeprefix("TEXT_").lower() for name, number in enum("text").items() if name != "TEXTS"}
_PATHS = ("pathname", "interpreter_pathname", "cwd")


class DecodeError(ValueError):
    """The bytes are not a record of the probe's."""


@dataclass(frozen=True)
class Layouts:
    """The structs exec_key, exec_value and introduction of event.h, as ctypes."""

    key: type[ctypes.Structure]
    value: type[ctypes.Structure]
    introduction: type[ctypes.Structure]


@dataclass(frozen=True)
class Key:
    """What a key says by itself; which files it means, its introduction says."""

    stdin_type: str
    flags: int

    def has(self, flag: str) -> bool:
        """Whether KEY_<FLAG> is set."""
        return bool(self.flags & _FLAGS[f"KEY_{flag.upper()}"])


@dataclass(frozen=True)
class Introduction:
    """What the key `key` means: strings as the kernel has them, None where there is none.

    Paths are absolute; one that was cut is what is left of its end, without a slash before it.
    """

    key: bytes
    pathname: bytes | None
    interpreter_pathname: bytes | None
    cwd: bytes | None
    cmdpath: bytes | None
    interp: bytes | None
    truncated: frozenset[str]


class Decoder:
    """Decodes keys, values and introductions of the given layouts."""

    def __init__(self, layouts: Layouts) -> None:
        self._layouts = layouts
        field: Any = layouts.value.executions
        self._count = slice(field.offset, field.offset + field.size)
        text: Any = layouts.introduction.text
        self._text_offset = int(text.offset)
        key: Any = layouts.introduction.key
        self._key = slice(key.offset, key.offset + key.size)

    def key(self, raw: bytes) -> Key:
        """A key of the map. Raises DecodeError for another size."""
        if len(raw) != ctypes.sizeof(self._layouts.key):
            raise DecodeError(f"a key of {len(raw)} bytes, not {ctypes.sizeof(self._layouts.key)}")
        key: Any = self._layouts.key.from_buffer_copy(raw)
        return Key(STDIN_TYPES.get(key.stdin_type, "unknown"), key.flags)

    def executions(self, value: bytes) -> int:
        """The count in a value of the map."""
        return int.from_bytes(value[self._count], "little")

    def introduction(self, record: bytes) -> Introduction:
        """A record of the ring buffer. Raises DecodeError for one that does not hold what it says it holds."""
        if len(record) < self._text_offset:
            raise DecodeError(f"an introduction of {len(record)} bytes, less than {self._text_offset}")
        padded = record.ljust(ctypes.sizeof(self._layouts.introduction), b"\0")
        header: Any = self._layouts.introduction.from_buffer_copy(padded)
        at = self._text_offset
        if at + header.text_bytes > len(record):
            raise DecodeError(f"an introduction of {len(record)} bytes that says it has {header.text_bytes} of text")
        end = at + header.text_bytes
        texts: dict[str, bytes | None] = {}
        truncated = frozenset(name for number, name in _TEXTS.items() if header.truncated >> number & 1)
        for number, name in _TEXTS.items():
            size = header.text_size[number]
            if at + size > end:
                raise DecodeError(f"an introduction whose {name} does not fit into it")
            text = record[at : at + size]
            at += size
            if name in _PATHS:
                texts[name] = _join(text, name in truncated)
            else:
                texts[name] = text.rstrip(b"\0") if size else None
        # a path is absent without the file that it is of; of a root directory it has no names
        if not header.text_size[_number("interpreter_pathname")]:
            texts["interpreter_pathname"] = None
        return Introduction(key=record[self._key], truncated=truncated, **texts)


def _number(text: str) -> int:
    return enum("text")[f"TEXT_{text.upper()}"]


def _join(names: bytes, cut: bool) -> bytes:
    """Names that end in NUL, leaf first, as a path."""
    parts = names.rstrip(b"\0").split(b"\0") if names else []
    path = b"/".join(reversed(parts))
    return path if cut else b"/" + path
