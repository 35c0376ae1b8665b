"""What a scrape shows of novel binaries, ready made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class NoveltySnapshot:
    """`open` has the newest open findings as (id, reason, path, interpreter), and when each was first seen.

    Times are in seconds since the epoch; `totals` are by reason.
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
