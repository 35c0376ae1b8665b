"""The interpreters registered with binfmt_misc."""

from __future__ import annotations

import logging
from pathlib import Path

log = logging.getLogger(__name__)

DIRECTORY = Path("/proc/sys/fs/binfmt_misc")
NO_FORMATS = frozenset({"register", "status"})


def misc_interpreters(directory: Path = DIRECTORY) -> frozenset[bytes]:
    """Return the paths, as registered, of those that are enabled; none where binfmt_misc cannot be read."""
    found: set[bytes] = set()
    try:
        if (directory / "status").read_bytes() != b"enabled\n":
            return frozenset()
        for file in directory.iterdir():
            if file.name not in NO_FORMATS:
                found.update(_interpreters(file.read_bytes()))
    except OSError as error:
        log.debug("cannot read the formats of binfmt_misc: %s", error)
    return frozenset(found)


def _interpreters(entry: bytes) -> list[bytes]:
    """Return the interpreter of an entry, if it is enabled and has one."""
    enabled, *lines = entry.split(b"\n")
    if enabled != b"enabled":
        return []
    return [line.removeprefix(b"interpreter ") for line in lines if line.startswith(b"interpreter ")]
