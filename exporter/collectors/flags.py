"""Flags for series, and one per collector."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field

from exporter.config.argument_types import duration, number
from exporter.config.options import flag
from exporter.errors import USAGE, ExporterError
from exporter.escape import LABEL_BYTES
from exporter.events.labels import Labels
from exporter.metrics.definitions import COLLECTORS
from exporter.metrics.path_rules import PathRules

ALWAYS = ("executions", "probe")
PRELOAD = "preload"  # part of the traits collector; costs more than all the rest
SWITCHES: Mapping[str, str] = {
    **COLLECTORS,
    PRELOAD: "the trait preload; reads the environment of every execution for LD_PRELOAD and LD_AUDIT",
}
OFF_BY_DEFAULT = (PRELOAD,)


@dataclass(frozen=True)
class SeriesOptions:
    """Maximum label sets, the age at which idle ones expire (0: never), and what becomes of labels."""

    limit: int = flag(
        "--series.limit",
        'maximum label sets of all metrics with a path; new ones beyond it are counted as path="other"',
        4000,
        type=number(1, 10_000_000),
    )
    idle_seconds: float = flag(
        "--series.idle",
        "remove series that have not changed for this long, such as 90s, 1h30m or 7d; 0: never (default 24h)",
        86_400.0,
        type=duration(3650),
        metavar="DURATION",
    )
    path_rules: PathRules = field(default_factory=PathRules)
    label_bytes: int = flag(
        "--labels.max-bytes",
        "maximum bytes of a path or interpreter in a label; the middle of a longer one is replaced by a hash",
        LABEL_BYTES,
        type=number(64, 1 << 14),
    )

    def shown(self, labels: Labels) -> Labels:
        """Return the labels that metrics have: rewritten by the path rules, then shortened."""
        return self.path_rules.apply(labels).shortened(self.label_bytes)


def add_collector_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags to a parser, in a group."""
    collectors = parser.add_argument_group("collectors")
    for name, what in SWITCHES.items():
        collectors.add_argument(
            f"--collector.{name}",
            action=argparse.BooleanOptionalAction,
            help=f"{what} (default {'off' if name in OFF_BY_DEFAULT else 'on'})",
        )


def enabled_collectors(values: argparse.Namespace, origins: Mapping[str, str]) -> frozenset[str]:
    """Return the names of the collectors that are on. Raise ExporterError if an essential one is off."""
    switches = {name: getattr(values, f"collector.{name}") for name in SWITCHES}
    for name in ALWAYS:
        if switches[name] is False:
            raise ExporterError(
                f"{origins[f'collector.{name}']}: the collector {name} cannot be disabled",
                "remove this setting: the other collectors depend on it",
                status=USAGE,
            )
    return frozenset(name for name, on in switches.items() if on or (on is None and name not in OFF_BY_DEFAULT))
