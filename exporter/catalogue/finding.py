"""A novel binary that somebody should know about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from exporter.catalogue.acceptance import Described
from exporter.catalogue.identifier import SHA256_BYTES, finding_id
from exporter.host.packages import AGREES, Explanation
from exporter.novelty.classify import Reason


@dataclass(frozen=True)
class Finding:
    """Times are in seconds since the epoch; `path` and `interpreter` are label values.

    `content` is a content key (`exporter.identifier`); `sightings` counts the files in which it was met.
    """

    reason: Reason
    path: str
    interpreter: str
    content: bytes
    first_seen: float
    last_seen: float
    sightings: int = 1
    package: Explanation | None = None

    @property
    def id(self) -> str:
        """The same on every host."""
        return finding_id(self.path, self.content)

    @property
    def hash(self) -> str:
        """SHA-256 in hex, empty if unknown."""
        return self.content.hex() if len(self.content) == SHA256_BYTES else ""

    @property
    def described(self) -> Described:
        """What acceptances look at."""
        package = self.package.package if self.package and self.package.digest == AGREES else ""
        return Described(self.id, self.hash, self.path, package)

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "id": self.id,
            "reason": str(self.reason),
            "path": self.path,
            "interpreter": self.interpreter,
            "sha256": self.hash or None,
            "first_seen": self.first_seen,
            "last_seen": self.last_seen,
            "sightings": self.sightings,
            "package": vars(self.package) if self.package else None,
        }
