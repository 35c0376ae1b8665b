"""State of novelty at one moment, as a scrape shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class NoveltySnapshot:
    """Totals are by reason; `open` maps (id, reason, path, interpreter) of the newest open findings to first seen.

    Times are in seconds since the epoch.
    """

    state: str
    learning_end: float
    totals: Mapping[str, int] = field(default_factory=dict)
    open: Mapping[tuple[str, str, str, str], float] = field(default_factory=dict)
    open_findings: int = 0
    programs: int = 0
    evictions: int = 0
    errors: int = 0
    deferred: int = 0
