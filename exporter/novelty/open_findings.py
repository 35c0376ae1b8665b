"""Open findings: those that no acceptance covers now."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

from exporter.catalogue import acceptance
from exporter.catalogue.acceptance import Acceptance
from exporter.catalogue.catalogue import Catalogue
from exporter.catalogue.finding import Finding

Row = tuple[str, str, str, str]


class OpenFindings:
    """The newest `limit` open findings as rows of (id, reason, path, interpreter), and the number of all.

    One thread at a time; `rows` is replaced and never changed.
    """

    def __init__(self, limit: int, clock: Callable[[], float] = time.time) -> None:
        self._limit, self._clock = limit, clock
        self._acceptances: list[Acceptance] = []
        self._expiry: float | None = None
        self.rows: Mapping[Row, float] = {}
        self.count = 0

    @property
    def expired(self) -> bool:
        """True if an acceptance has expired since the last `refresh`."""
        return self._expiry is not None and self._expiry <= self._clock()

    def is_accepted(self, finding: Finding) -> bool:
        """Return true if an acceptance covers the finding now."""
        return acceptance.accepted_by(self._acceptances, finding.acceptance_subject, self._clock()) is not None

    def add(self, findings: Iterable[Finding]) -> None:
        """Add new findings that are not accepted, the newest last."""
        fresh = {_row(finding): finding.first_seen for finding in findings}
        self.count += len(fresh)
        newest = dict(reversed(fresh.items())) | dict(self.rows)
        self.rows = dict(list(newest.items())[: self._limit])

    def refresh(self, catalogue: Catalogue, shared: list[Acceptance]) -> None:
        """Read all findings and acceptances; `shared` acceptances are not in the catalogue. Raise sqlite3.Error."""
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
