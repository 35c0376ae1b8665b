"""Durations as Go and Prometheus write them: 90s, 1h30m, 1d."""

from __future__ import annotations

import re
from collections.abc import Mapping

GO: Mapping[str, float] = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
PROMETHEUS: Mapping[str, float] = {**GO, "d": 86_400.0, "w": 604_800.0, "y": 31_536_000.0}
_PART = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)([a-zµ]+)")


def seconds(text: str, units: Mapping[str, float]) -> float:
    """Parse a duration; return seconds. Raise ValueError."""
    parts = _PART.findall(text)
    known = all(unit in units for _, unit in parts)
    if text != "0" and (not parts or not known or "".join(map("".join, parts)) != text):
        raise ValueError(f"{text!r} is not a duration")
    return float(sum(float(number) * units[unit] for number, unit in parts))
