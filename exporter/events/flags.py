"""The flags for what of arguments and environments is recorded: they hold secrets, and by default nothing is."""

from __future__ import annotations

import argparse

from exporter.config.argument_types import number
from exporter.events.event_json import NAMES, VALUES

MAX_RECORDED_BYTES = 1 << 16


def add_record_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags to a parser, in a group."""
    record = parser.add_argument_group("recording", "Arguments and environments hold secrets.")
    record.add_argument(
        "--record.argv-bytes",
        dest="argv_bytes",
        type=number(0, MAX_RECORDED_BYTES),
        default=0,
        metavar="N",
        help=f"record that much of the arguments of an execution, at most {MAX_RECORDED_BYTES} (default: none)",
    )
    record.add_argument(
        "--record.env",
        dest="env",
        choices=("none", NAMES, VALUES),
        default="none",
        help="what to record of its environment (default %(default)s)",
    )
    record.add_argument(
        "--record.env-bytes",
        dest="env_bytes",
        type=number(1, MAX_RECORDED_BYTES),
        default=8192,
        metavar="N",
        help="record that much of the environment, if it is recorded at all (default %(default)s)",
    )
