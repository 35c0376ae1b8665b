"""The exposition as a file for node_exporter's textfile collector, replaced atomically."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

from exporter.errors import USAGE, ExporterError

log = logging.getLogger(__name__)

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


def keep_writing(path: Path, render: Callable[[], bytes], interval_seconds: float, stop: threading.Event) -> None:
    """Write at each interval until `stop` is set, then remove the file so that its series end with the exporter.

    Log a failure once, until a write succeeds again.
    """
    failing = False
    while not stop.wait(interval_seconds):
        try:
            write(path, render())
            failing = False
        except OSError as error:
            if not failing:
                log.error("cannot write %s: %s", path, error.strerror)
            failing = True
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.error("cannot remove %s: %s", path, error.strerror)
