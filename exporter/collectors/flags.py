"""The flags for what is counted: collectors, and how many series they may have."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from exporter.config.argument_types import duration, number
from exporter.errors import USAGE, ExporterError
from exporter.metrics.definitions import COLLECTORS

ALWAYS = ("executions", "probe")
PRELOAD = "preload"  # a part of the collector of traits, which costs more than all the rest
SWITCHES: Mapping[str, str] = {
    **COLLECTORS,
    PRELOAD: "the trait preload; reads the environment of every execution for LD_PRELOAD and LD_AUDIT",
}
OFF_BY_DEFAULT = (PRELOAD,)


def add_data_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags to a parser, in groups."""
    series = parser.add_argument_group("series")
    series.add_argument(
        "--series.limit",
        dest="series_limit",
        metavar="N",
        type=number(1, 10_000_000),
        default=4000,
        help='label sets over all metrics that have a path; what comes after is counted in path="other"'
        " (default %(default)s)",
    )
    series.add_argument(
        "--series.idle",
        dest="series_idle_seconds",
        metavar="DURATION",
        type=duration(3650),
        default="24h",
        help="a series that has not changed for so long is removed, such as 90s, 1h30m or 7d; 0 for never"
        " (default %(default)s)",
    )
    collectors = parser.add_argument_group("collectors")
    for name, what in SWITCHES.items():
        collectors.add_argument(
            f"--collector.{name}",
            dest=_destination(name),
            action=argparse.BooleanOptionalAction,
            help=f"{what} (default {'off' if name in OFF_BY_DEFAULT else 'on'})",
        )


def gather_collectors(options: argparse.Namespace, origins: Mapping[str, str]) -> frozenset[str]:
    """Takes the flags of the collectors out of `options`; returns those that are on. Raises ExporterError."""
    found = set()
    for name in SWITCHES:
        destination = _destination(name)
        on = vars(options).pop(destination)
        if on is False and name in ALWAYS:
            raise ExporterError(
                f"{origins[destination]}: the collector {name} cannot be switched off",
                "take this out: the others stand on it",
                status=USAGE,
            )
        if on or (on is None and name not in OFF_BY_DEFAULT):
            found.add(name)
    return frozenset(found)


def _destination(name: str) -> str:
    return f"collector_{name}"
