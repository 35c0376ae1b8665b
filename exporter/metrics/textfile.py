"""The exposition as a file for node_exporter's textfile collector, replaced atomically."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from exporter.errors import USAGE, ExporterError

SUFFIX = ".prom"  # node_exporter reads no other


def check_path(path: Path, origin: str) -> None:
    """Raise ExporterError if the file cannot be written at this path; `origin` names the flag."""
    if path.suffix != SUFFIX:
        raise ExporterError(f"{origin}={path} does not end in {SUFFIX}", "node_exporter reads no other", status=USAGE)
    if not path.parent.is_dir():
        raise ExporterError(
            f"{origin}={path}: {path.parent} is not a directory",
            "use the directory given to node_exporter as --collector.textfile.directory",
            status=USAGE,
        )


def write(path: Path, exposition: bytes) -> None:
    """Replace the file atomically: readers see the old or the new content. Raise OSError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o644)  # regardless of the umask: node_exporter runs as another user
            file.write(exposition)
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
