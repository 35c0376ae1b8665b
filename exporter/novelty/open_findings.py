"""Which findings are open: those that no acceptance covers now."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

from exporter.catalogue import acceptance
from exporter.catalogue.acceptance import Acceptance
from exporter.catalogue.catalogue import Catalogue
from exporter.catalogue.finding import Finding

Row = tuple[str, str, str, str]


class OpenFindings:
    """Keeps the newest `limit` of them as rows of (id, reason, path, interpreter), and counts all."""

    def __init__(self, limit: int, clock: Callable[[], float] = time.time) -> None:
        self._limit, self._clock = limit, clock
        self._acceptances: list[Acceptance] = []
        self._expiry: float | None = None
        self.rows: Mapping[Row, float] = {}
        self.count = 0

    @property
    def expired(self) -> bool:
        """Whether an acceptance has ended since the last `refresh`."""
        return self._expiry is not None and self._expiry <= self._clock()

    def is_accepted(self, finding: Finding) -> bool:
        """Whether an acceptance covers the finding now."""
        return acceptance.accepted_by(self._acceptances, finding.acceptance_subject, self._clock()) is not None

    def add(self, findings: Iterable[Finding]) -> None:
        """Adds new findings that are not accepted, the newest last."""
        fresh = {_row(finding): finding.first_seen for finding in findings}
        self.count += len(fresh)
        newest = dict(reversed(fresh.items())) | dict(self.rows)
        self.rows = dict(list(newest.items())[: self._limit])

    def refresh(self, catalogue: Catalogue, shared: list[Acceptance]) -> None:
        """Looks through all findings. `shared` are the acceptances that are not in the catalogue."""
        self._acceptances = catalogue.acceptances() + shared
        self._expiry = acceptance.next_expiry(self._acceptances, self._clock())
        rows: dict[Row, float] = {}
        self.count = 0
        for finding in catalogue.findings():
            if not self.is_accepted(finding):
                self.count += 1
                if len(rows) < self._limit:
                    rows[_row(finding)] = finding.first_seen
        self.rows = rows


def _row(finding: Finding) -> Row:
    return finding.id, str(finding.reason), finding.path, finding.interpreter
