"""Flags for recording arguments and environments. They hold secrets, so nothing is recorded by default."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

from exporter.config.argument_types import number
from exporter.config.options import add_flags, flag
from exporter.events.event_json import NAMES, VALUES

NONE = "none"
MAX_RECORDED_BYTES = 1 << 16


@dataclass(frozen=True)
class RecordOptions:
    """Bytes of arguments to record, part of the environment to record, and bytes of it."""

    argv_bytes: int = flag(
        "--record.argv-bytes",
        f"bytes of arguments to record per execution, at most {MAX_RECORDED_BYTES} (default: none)",
        0,
        type=number(0, MAX_RECORDED_BYTES),
    )
    env: str = flag("--record.env", "part of the environment to record", NONE, choices=(NONE, NAMES, VALUES))
    env_bytes: int = flag(
        "--record.env-bytes",
        "bytes of the environment to record per execution, unless --record.env=none",
        8192,
        type=number(1, MAX_RECORDED_BYTES),
    )

    @property
    def sizes(self) -> dict[str, Any]:
        """Return the bytes to record, by the names of ProbeSettings: 0 for an environment that is not recorded."""
        return {"argv_bytes": self.argv_bytes, "env_bytes": 0 if self.env == NONE else self.env_bytes}


def add_record_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags to a parser, in a group."""
    add_flags(parser, "recording", RecordOptions, text="Arguments and environments hold secrets.")
