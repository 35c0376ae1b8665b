"""Flags for recording arguments and environments. They hold secrets, so nothing is recorded by default."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

from exporter.config.argument_types import number
from exporter.config.resolve import section
from exporter.events.event_json import NAMES, VALUES

NONE = "none"
MAX_RECORDED_BYTES = 1 << 16


@dataclass(frozen=True)
class RecordOptions:
    """Bytes of arguments to record, part of the environment to record, and bytes of it."""

    argv_bytes: int
    env: str
    env_bytes: int

    @property
    def sizes(self) -> dict[str, Any]:
        """Return the bytes to record, by the names of ProbeSettings: 0 for an environment that is not recorded."""
        return {"argv_bytes": self.argv_bytes, "env_bytes": 0 if self.env == NONE else self.env_bytes}


def add_record_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags to a parser, in a group."""
    record = parser.add_argument_group("recording", "Arguments and environments hold secrets.")
    record.add_argument(
        "--record.argv-bytes",
        dest="record.argv_bytes",
        type=number(0, MAX_RECORDED_BYTES),
        default=0,
        metavar="N",
        help=f"bytes of arguments to record per execution, at most {MAX_RECORDED_BYTES} (default: none)",
    )
    record.add_argument(
        "--record.env",
        dest="record.env",
        choices=(NONE, NAMES, VALUES),
        default=NONE,
        help="part of the environment to record (default %(default)s)",
    )
    record.add_argument(
        "--record.env-bytes",
        dest="record.env_bytes",
        type=number(1, MAX_RECORDED_BYTES),
        default=8192,
        metavar="N",
        help="bytes of the environment to record per execution, unless --record.env=none (default %(default)s)",
    )


def record_options(values: argparse.Namespace) -> RecordOptions:
    """Return the values of the flags."""
    return RecordOptions(**section(values, "record"))
