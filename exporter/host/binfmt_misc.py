"""The interpreters that binfmt_misc starts: those that are registered and switched on."""

from __future__ import annotations

import logging
from pathlib import Path

log = logging.getLogger(__name__)

DIRECTORY = Path("/proc/sys/fs/binfmt_misc")
NO_FORMATS = frozenset({"register", "status"})


def misc_interpreters(directory: Path = DIRECTORY) -> frozenset[bytes]:
    """Their paths as registered. None where binfmt_misc is not mounted, or may not be read."""
    found: set[bytes] = set()
    try:
        if (directory / "status").read_bytes() != b"enabled\n":
            return frozenset()
        for file in directory.iterdir():
            if file.name not in NO_FORMATS:
                interpreter = _interpreter(file.read_bytes())
                found.update({interpreter} if interpreter else ())
    except OSError as error:
        log.debug("no formats of binfmt_misc: %s", error)
    return frozenset(found)


def _interpreter(entry: bytes) -> bytes | None:
    """The interpreter of an entry, as the kernel shows it; None while it is switched off."""
    lines = entry.split(b"\n")
    if lines[0] != b"enabled":
        return None
    return next((line.removeprefix(b"interpreter ") for line in lines if line.startswith(b"interpreter ")), None)
