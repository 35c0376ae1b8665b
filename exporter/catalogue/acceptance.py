"""Acceptances: findings declared harmless by id, hash, path or package, for ever or until a date."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from fnmatch import fnmatchcase
from typing import Any

KINDS = ("id", "hash", "path", "package")
ID = re.compile(r"[0-9a-f]{16}")
HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Acceptance:
    """A rule that accepts findings. `expires` is in seconds since the epoch, None for never; `number` is its row."""

    kind: str
    pattern: str
    reason: str = ""
    expires: float | None = None
    number: int | None = None

    def covers(self, subject: Mapping[str, str], now: float) -> bool:
        """Return true if it accepts a finding, by its values of KINDS, at a time in seconds since the epoch."""
        if self.expires is not None and self.expires <= now:
            return False
        value = subject[self.kind]
        if self.kind in ("path", "package"):
            return bool(value) and fnmatchcase(value, self.pattern)
        return value == self.pattern

    def __str__(self) -> str:
        return f"{self.kind} {self.pattern}"


def accepted_by(acceptances: list[Acceptance], subject: Mapping[str, str], now: float) -> Acceptance | None:
    """Return the first acceptance of a finding, by its values of KINDS, or None."""
    return next((acceptance for acceptance in acceptances if acceptance.covers(subject, now)), None)


def next_expiry(acceptances: list[Acceptance], now: float) -> float | None:
    """Return when the next acceptance expires, in seconds since the epoch."""
    times = (acceptance.expires for acceptance in acceptances)
    return min((expires for expires in times if expires is not None and expires > now), default=None)


def check(kind: str, pattern: str) -> None:
    """Raise ValueError, with a message for the author, if the pattern can match nothing."""
    if kind == "id" and not ID.fullmatch(pattern):
        raise ValueError(f"{pattern!r} is not a finding's id: 16 hexadecimal digits")
    if kind == "hash" and not HASH.fullmatch(pattern):
        raise ValueError(f"{pattern!r} is not a SHA-256: 64 hexadecimal digits")
    if kind == "path" and not pattern.startswith(("/", "[", "*")):
        raise ValueError(f"{pattern!r} is not a pattern for a path: it must start with / or *")
    if not pattern:
        raise ValueError(f"{kind} is empty")


def expiry(value: Any) -> float:
    """Return a date or time, as text or from YAML, in seconds since the epoch. Raise ValueError.

    A date means the end of its day in UTC; so does a time without a zone mean UTC.
    """
    if isinstance(value, str):
        try:
            value = date.fromisoformat(value) if len(value) <= 10 else datetime.fromisoformat(value)
        except ValueError as error:
            raise ValueError(f"{value!r} is neither a date such as 2030-12-31 nor a time") from error
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    if isinstance(value, date):
        return datetime.combine(value, time.max, UTC).timestamp()
    raise ValueError(f"{value!r} is neither a date such as 2030-12-31 nor a time such as 2030-12-31T12:00:00Z")
