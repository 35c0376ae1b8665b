"""Decode the bytes of keys and records. BCC gives the layouts, from the C.

Those of an older probe are decoded with the numbers of its own exec.h: texts, bits and stdin types that it lacks are
absent, and those that only it has are ignored.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

from exporter.probe.exec_header import Layouts, enum

_KEY_FLAGS = enum("key_flag")
_PATH_FLAGS = enum("path_flag")
_STDIN_TYPES = enum("stdin_type")
_PATHS = ("pathname", "interpreter_pathname", "cwd", "stdin_path", "script_path")


class DecodeError(ValueError):
    """The bytes are not a key or record of the probe."""


@dataclass(frozen=True)
class ExecKey:
    """The values in a key. Its introduction has the names of the files."""

    stdin_type: str
    flags: int

    def has(self, flag: str) -> bool:
        """Return True if KEY_<FLAG> is set."""
        return bool(self.flags & _KEY_FLAGS[f"KEY_{flag.upper()}"])


class Identity(NamedTuple):
    """Distinguishes a file from every other that was or will be at its path. `ctime` is in ns since the epoch.

    On an overlay all values but `path_hash` are those of the file below. A script known only as invoked has nothing but
    a `path_hash`. For an interpreter that is the hash of its name in the script; for an ELF interpreter it is 0.
    """

    inode: int
    dev: tuple[int, int]
    generation: int
    ctime: int
    path_hash: int

    @property
    def file(self) -> bytes:
        """Return 16 bytes that do not change with the file's names, permissions or content."""
        return struct.pack(">QII", self.inode, self.dev[0] << 20 | self.dev[1], self.generation)

    @property
    def rest(self) -> bytes:
        """Return the other 16 bytes of the identity."""
        return struct.pack(">qQ", self.ctime, self.path_hash)


@dataclass(frozen=True)
class KernelPath:
    """A path as the kernel sees it: absolute, or only its last components if it was `cut`.

    An `orphan` is in no directory (memfd, pipe, socket): its name is not a path. `scope` is a number for the root
    directory of the mount namespace in which the path holds: 0 for the host's, or if that is unknown.
    """

    name: bytes
    cut: bool = False
    deleted: bool = False
    orphan: bool = False
    disconnected: bool = False
    scope: int = 0


@dataclass(frozen=True)
class File:
    """A file as in stat(2). `dev` is (major, minor), `ctime` in ns since the epoch, `size` in bytes.

    `backing_dev` and `backing_inode` belong to the file below an overlay; None if there is no overlay. `origin` is the
    file of the same size in the layer below, if this one was copied up from it: its path_hash is 0.
    """

    dev: tuple[int, int]
    inode: int
    ctime: int
    mode: int
    size: int
    links: int
    generation: int
    backing_dev: tuple[int, int] | None
    backing_inode: int | None
    origin: Identity | None = None


@dataclass(frozen=True)
class Introduction:
    """The record of one exec. Absent members are None; times are in ns since boot, sizes in bytes.

    `argv` and `env` are the raw bytes that were recorded; `argc`, `envc` and the sizes count all of them. `truncated`
    and `unreadable` name texts, in lower case. `origin_path` leads to the file below one that was copied up, from the
    root of its filesystem.
    """

    key: bytes
    pathname: KernelPath | None
    interpreter_pathname: KernelPath | None
    cwd: KernelPath | None
    stdin_path: KernelPath | None
    script_path: KernelPath | None
    cmdpath: bytes | None
    interp: bytes | None
    argv: bytes | None
    env: bytes | None
    program: File | None
    interpreter: File | None
    script: File | None
    stdin_inode: int
    argc: int
    envc: int
    argv_bytes: int
    env_bytes: int
    pid: int
    ppid: int
    uid: int
    gid: int
    cgroup: int
    comm: bytes
    time: int
    start_time: int
    truncated: frozenset[str]
    unreadable: frozenset[str]
    origin_path: bytes | None = None


_NUMBERS = [member.name for member in fields(Introduction) if member.type == "int"]


class Decoder:
    """Decodes keys and introductions that have the given layouts. Keeps no state."""

    def __init__(self, layouts: Layouts) -> None:
        self._layouts, numbers = layouts, layouts.vocabulary
        self._stdin_types = {
            number: name.removeprefix("STDIN_").lower()
            for name, number in numbers["stdin_type"].items()
            if name in _STDIN_TYPES
        }
        self._texts = [name.removeprefix("TEXT_").lower() for name in numbers["text"] if name != "TEXTS"]
        self._key_bits = _differing(numbers["key_flag"], _KEY_FLAGS)
        self._path_bits = _differing(numbers["path_flag"], _PATH_FLAGS)
        self._key = _place(layouts.introduction, "key")
        self._text_offset = _place(layouts.introduction, "text").start

    def key(self, raw: bytes) -> ExecKey:
        """Decode a key of the map. Raise DecodeError for a wrong size."""
        key = self._raw_key(raw)
        return ExecKey(self._stdin_types.get(key.stdin_type, "unknown"), _converted(key.flags, self._key_bits))

    def identities(self, raw: bytes) -> tuple[Identity, Identity]:
        """Return the identities of a key's file and interpreter. Raise DecodeError for a wrong size."""
        key = self._raw_key(raw)
        return _identity(key.file), _identity(key.interpreter)

    def introduction(self, record: bytes) -> Introduction:
        """Decode a record of the ring buffer. Raise DecodeError if its sizes are inconsistent."""
        if len(record) < self._text_offset:
            raise DecodeError(f"a record of {len(record)} bytes, less than {self._text_offset}")
        header: Any = self._layouts.introduction.from_buffer_copy(
            record[: self._text_offset].ljust(ctypes.sizeof(self._layouts.introduction), b"\0")
        )
        texts = self._split(record, header)
        truncated, unreadable = self._names(header.truncated), self._names(header.unreadable)
        flags = {
            name: _converted(bits, self._path_bits) for name, bits in zip(self._texts, header.path_flags, strict=False)
        }
        scopes = dict(zip(self._texts, getattr(header, "scopes", ()), strict=False))  # of an older probe: none
        paths: dict[str, Any] = {
            name: _path(texts.get(name), flags.get(name, 0), name in truncated, scopes.get(name, 0)) for name in _PATHS
        }
        origin = None if "origin_path" in truncated | unreadable else texts.get("origin_path")
        return Introduction(
            key=record[self._key],
            **paths,
            cmdpath=_string(texts.get("cmdpath")),
            interp=_string(texts.get("interp")),
            argv=texts.get("argv"),
            env=texts.get("env"),
            program=_file(header.program),
            interpreter=_file(header.interpreter),
            script=_file(header.script),
            comm=bytes(header.comm),
            truncated=truncated - {"origin_path"},
            unreadable=unreadable - {"origin_path"},
            origin_path=_joined(origin) if origin else None,
            **{name: getattr(header, name) for name in _NUMBERS},
        )

    def _raw_key(self, raw: bytes) -> Any:
        if len(raw) != ctypes.sizeof(self._layouts.key):
            raise DecodeError(f"a key of {len(raw)} bytes, not {ctypes.sizeof(self._layouts.key)}")
        return self._layouts.key.from_buffer_copy(raw)

    def _names(self, bits: int) -> frozenset[str]:
        return frozenset(name for number, name in enumerate(self._texts) if bits >> number & 1)

    def _split(self, record: bytes, header: Any) -> dict[str, bytes | None]:
        at, end = self._text_offset, self._text_offset + header.text_bytes
        if end > len(record):
            raise DecodeError(f"a record of {len(record)} bytes that claims {header.text_bytes} bytes of text")
        texts: dict[str, bytes | None] = {}
        for name, size in zip(self._texts, header.text_size, strict=True):
            if at + size > end:
                raise DecodeError(f"a record whose {name} exceeds its text")
            texts[name] = record[at : at + size] if size else None
            at += size
        return texts


def _place(layout: type[ctypes.Structure], name: str) -> slice:
    field = getattr(layout, name)
    return slice(field.offset, field.offset + field.size)


def _differing(old: Mapping[str, int], new: Mapping[str, int]) -> dict[int, int] | None:
    """Return the new value of each old bit that still has a name; None if all are the same."""
    return None if old == new else {bit: new[name] for name, bit in old.items() if name in new}


def _converted(bits: int, values: Mapping[int, int] | None) -> int:
    return bits if values is None else sum(new for old, new in values.items() if bits & old)


def _string(text: bytes | None) -> bytes | None:
    return None if text is None else text.removesuffix(b"\0")


def _joined(names: bytes | None) -> bytes:
    """Join NUL-terminated names, leaf first, to a relative path. A root directory has no names."""
    return b"/".join(reversed(names.removesuffix(b"\0").split(b"\0"))) if names else b""


def _path(names: bytes | None, flags: int, cut: bool, scope: int) -> KernelPath | None:
    if not flags & _PATH_FLAGS["PATH_PRESENT"]:
        return None
    orphan = bool(flags & _PATH_FLAGS["PATH_ORPHAN"])
    path = _joined(names)
    return KernelPath(
        name=path if cut or orphan else b"/" + path,
        cut=cut,
        deleted=bool(flags & _PATH_FLAGS["PATH_DELETED"]),
        orphan=orphan,
        disconnected=bool(flags & _PATH_FLAGS["PATH_DISCONNECTED"]),
        scope=scope,
    )


def _device(number: int) -> tuple[int, int]:
    """Split a device number in the kernel's encoding: 20 bits of minor number."""
    return number >> 20, number & 0xFFFFF


def _identity(raw: Any) -> Identity:
    return Identity(raw.inode, _device(raw.dev), raw.generation, raw.ctime, raw.path_hash)


def _file(facts: Any) -> File | None:
    if not facts.inode:
        return None
    backing_dev, backing_inode = (
        (_device(facts.backing_dev), facts.backing_inode) if facts.backing_inode else (None, None)
    )
    numbers = facts.inode, facts.ctime, facts.mode, facts.size, facts.links, facts.generation
    return File(_device(facts.dev), *numbers, backing_dev, backing_inode, _origin(facts))


def _origin(facts: Any) -> Identity | None:
    if not getattr(facts, "origin_inode", 0):  # nor has a record of an older probe
        return None
    return Identity(facts.origin_inode, _device(facts.origin_dev), facts.origin_generation, facts.origin_ctime, 0)
