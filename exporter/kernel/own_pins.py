"""Which pins are the exporter's: the kernel has the name of each map and program, whatever its pin is called."""

from __future__ import annotations

import os
import re
from pathlib import Path

from exporter.kernel import bpf_syscall
from exporter.kernel.blob_map import KEY, VALUE_BYTES

BLOBS = ("checkpoint", "ledger", "intake")
GENERATION = re.compile(r"((?:making|gone)-)?[0-9]+")
_FORMER = {"ledger": "checkpoint", "lives": "exits"}  # names of maps in format 1, which the kernel keeps
_NAME_CHARACTERS = 15  # BPF_OBJ_NAME_LEN, without the NUL
# By the beginning of a pin's name: the kind of the object, and its name in the kernel.
_PREFIXES = {
    "slot_": ("map", "slot"),
    "map_": ("map", "{}"),
    "dispatcher_": ("prog", "call_{}"),
    "program_": ("prog", "{}"),
    "link_": ("link", ""),
    "hook_": ("link", ""),
}


def is_own(path: Path) -> bool:
    """Return true for a pin of the exporter, or a directory of a generation in which something is. Raise OSError."""
    if path.is_symlink():
        return False
    if path.is_dir():
        named, inside = GENERATION.fullmatch(path.name), list(path.iterdir())
        return named is not None and (any(map(is_own, inside)) if inside else named[1] is not None)
    expected = _expected(path.name)
    return expected is not None and _object(path, blob=path.name in BLOBS) == expected


def has_name_of_ours(name: str) -> bool:
    """Return true for a name under which the exporter may want to pin something."""
    return (not name.startswith("gone-") and bool(GENERATION.fullmatch(name))) or _expected(name) is not None


def _expected(name: str) -> tuple[str, str] | None:
    """Return kind and name of the object that the exporter pins by a name, None if it pins nothing by that name."""
    if name in (*BLOBS, "description", "description-new"):
        name = name.removesuffix("-new")
        return "map", _FORMER.get(name, name)
    for prefix, (kind, named) in _PREFIXES.items():
        if name.startswith(prefix):
            named = named.format(name.removeprefix(prefix))[:_NAME_CHARACTERS]
            return kind, _FORMER.get(named, named)
    return None


def _object(path: Path, *, blob: bool) -> tuple[str, str] | None:
    """Return kind and name of a pinned object; None of a map that should hold blobs and cannot."""
    descriptor = bpf_syscall.pinned(os.fsencode(path))
    try:
        kind = os.readlink(f"/proc/self/fd/{descriptor}").replace("_", "-").rpartition("-")[2]  # noqa: PTH115
        if blob and kind == "map":
            info = bpf_syscall.map_info(descriptor)
            if (info.key_size, info.value_size) != (KEY.size, VALUE_BYTES):
                return None
        name = bpf_syscall.object_name(descriptor, kind)
        return kind, _FORMER.get(name, name)
    finally:
        os.close(descriptor)
