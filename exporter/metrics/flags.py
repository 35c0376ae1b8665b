"""Flags for writing metrics to a file or to standard output instead of serving them."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from exporter.config.argument_types import number
from exporter.config.resolve import section
from exporter.metrics.textfile import check_path


@dataclass(frozen=True)
class OutputOptions:
    """Write once or every `interval_seconds`; to standard output or over HTTP without a `textfile`."""

    once: bool
    textfile: Path | None
    interval_seconds: int


def add_output_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags to a parser, in a group."""
    output = parser.add_argument_group("instead of serving")
    output.add_argument(
        "--once",
        dest="output.once",
        action="store_true",
        help="write the metrics once, to standard output or --textfile, and exit",
    )
    output.add_argument(
        "--textfile",
        dest="output.textfile",
        metavar="FILE",
        type=Path,
        help="file for node_exporter's textfile collector, ending in .prom; replaced atomically every"
        " --textfile.interval and removed at the stop",
    )
    output.add_argument(
        "--textfile.interval",
        dest="output.interval_seconds",
        metavar="SECONDS",
        type=number(1, 86_400),
        default=15,
        help="seconds between two writes of --textfile (default %(default)s)",
    )


def output_options(values: argparse.Namespace, origins: Mapping[str, str]) -> OutputOptions:
    """Return the values of the flags. Raise ExporterError for a path that node_exporter would not read."""
    options = OutputOptions(**section(values, "output"))
    if options.textfile:
        check_path(options.textfile, origins["output.textfile"])
    return options
