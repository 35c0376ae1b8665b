"""What somebody has said is all right: findings by id, content, path or package, for ever or until a date."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from fnmatch import fnmatchcase
from typing import Any

KINDS = ("id", "hash", "path", "package")
ID = re.compile(r"[0-9a-f]{16}")
HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class AcceptanceSubject:
    """What of a finding an acceptance looks at. `hash` is the SHA-256 in hex, empty if unknown.

    `package` is that of a package whose digest the file has, else empty: a file that differs is not the package's.
    """

    id: str
    hash: str
    path: str
    package: str


@dataclass(frozen=True)
class Acceptance:
    """One entry. `expires` is in seconds since the epoch, None for never; `number` is that in the catalogue."""

    kind: str
    pattern: str
    reason: str = ""
    expires: float | None = None
    number: int | None = None

    def covers(self, finding: AcceptanceSubject, now: float) -> bool:
        """Whether it accepts the finding now."""
        if self.expires is not None and self.expires <= now:
            return False
        value = str(getattr(finding, self.kind))
        if self.kind in ("path", "package"):
            return bool(value) and fnmatchcase(value, self.pattern)
        return value == self.pattern

    def __str__(self) -> str:
        return f"{self.kind} {self.pattern}"


def accepted_by(acceptances: list[Acceptance], finding: AcceptanceSubject, now: float) -> Acceptance | None:
    """The first that accepts the finding."""
    return next((one for one in acceptances if one.covers(finding, now)), None)


def next_expiry(acceptances: list[Acceptance], now: float) -> float | None:
    """When the next of them ends, in seconds since the epoch."""
    return min((one.expires for one in acceptances if one.expires is not None and one.expires > now), default=None)


def check(kind: str, pattern: str) -> None:
    """Raises ValueError, in words for who wrote it, where it could accept nothing."""
    if kind == "id" and not ID.fullmatch(pattern):
        raise ValueError(f"{pattern!r} is not a finding's id: 16 hexadecimal digits")
    if kind == "hash" and not HASH.fullmatch(pattern):
        raise ValueError(f"{pattern!r} is not a SHA-256: 64 hexadecimal digits")
    if kind == "path" and not pattern.startswith(("/", "[", "*")):
        raise ValueError(f"{pattern!r} is no pattern for a path: it begins with / or *")
    if not pattern:
        raise ValueError(f"{kind} is empty")


def _end_of(day: date) -> float:
    return datetime.combine(day, time.max, UTC).timestamp()


def expiry(value: Any) -> float:
    """Seconds since the epoch of a date, which ends with its day in UTC, or of a time with its zone.

    Text, or what YAML makes of it. Raises ValueError.
    """
    if isinstance(value, str):
        try:
            value = date.fromisoformat(value) if len(value) <= 10 else datetime.fromisoformat(value)
        except ValueError as error:
            raise ValueError(f"{value!r} is neither a date such as 2030-12-31 nor a time") from error
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    if isinstance(value, date):
        return _end_of(value)
    raise ValueError(f"{value!r} is neither a date such as 2030-12-31 nor a time such as 2030-12-31T12:00:00Z")
