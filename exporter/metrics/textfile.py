"""The exposition as a file for node_exporter's textfile collector: whole or not there, never half."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

from exporter.errors import USAGE, ExporterError

log = logging.getLogger(__name__)

SUFFIX = ".prom"  # the only one that node_exporter reads


def check_path(path: Path, origin: str) -> None:
    """Raises ExporterError for a path where no such file can be; `origin` gave it."""
    if path.suffix != SUFFIX:
        raise ExporterError(f"{origin}={path} does not end in {SUFFIX}", "node_exporter reads no other", status=USAGE)
    if not path.parent.is_dir():
        raise ExporterError(
            f"{origin}={path}: {path.parent} is no directory",
            "give the directory that node_exporter's --collector.textfile.directory names",
            status=USAGE,
        )


def write(path: Path, exposition: bytes) -> None:
    """Replaces the file at once; who reads it sees the old or the new. Raises OSError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o644)  # whatever the umask: node_exporter is another user
            file.write(exposition)
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def keep_writing(path: Path, render: Callable[[], bytes], interval_seconds: float, stop: threading.Event) -> None:
    """Writes at each interval until `stop`; then removes the file, so that its series end with the exporter.

    Failures are logged once, until it works again.
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
