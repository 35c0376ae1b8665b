"""Flags for writing metrics to a file or to standard output instead of serving them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from exporter.config.argument_types import number, optional_file
from exporter.config.options import flag
from exporter.metrics.textfile import check_path


@dataclass(frozen=True)
class OutputOptions:
    """Write once or every `interval_seconds`; to standard output or over HTTP without a `textfile`."""

    once: bool = flag("--once", "write the metrics once, to standard output or --textfile, and exit", False)
    textfile: Path | None = flag(
        "--textfile",
        "file for node_exporter's textfile collector, ending in .prom; replaced atomically every --textfile.interval"
        " and removed at the stop",
        type=optional_file,
    )
    interval_seconds: int = flag(
        "--textfile.interval", "seconds between two writes of --textfile", 15, type=number(1, 86_400), metavar="SECONDS"
    )

    def check(self, origins: Mapping[str, str]) -> None:
        """Raise ExporterError for a path that node_exporter would not read, naming its origin."""
        if self.textfile:
            check_path(self.textfile, origins["textfile"])
