"""Findings: novel binaries that somebody should know about."""

from __future__ import annotations

import enum
import hashlib
from dataclasses import dataclass
from typing import Any

from exporter.host.packages import PackageVerdict

ID_BYTES = 8  # 64 bits: too many to search for a program whose id is that of an accepted one
SHA256_BYTES = 32


def content_key(digest: bytes | None, size: int | None) -> bytes:
    """Return the key of a content in the catalogue: its SHA-256, else its size as 8 bytes, else nothing."""
    if digest is not None:
        return digest
    return b"" if size is None else size.to_bytes(8, "big")


def digest_of(content: bytes) -> bytes | None:
    """Return the SHA-256 of a content key, None if it has none."""
    return content if len(content) == SHA256_BYTES else None


def finding_id(path: str, content: bytes) -> str:
    """Return the id of the finding of a path, as a label value, with a content key."""
    return hashlib.sha256(b"\0".join((b"exec_exporter finding", path.encode(), content))).hexdigest()[: 2 * ID_BYTES]


@dataclass(frozen=True)
class Finding:
    """A novel binary. Times are in seconds since the epoch; `path` and `interpreter` are label values.

    `content` is a content key; `sightings` counts the files in which it was executed. `place` is the path as rules fold
    it, empty if they do not: one program in many such places is one finding.
    """

    reason: Reason
    path: str
    interpreter: str
    content: bytes
    first_seen: float
    last_seen: float
    sightings: int = 1
    package: PackageVerdict | None = None
    place: str = ""

    @property
    def id(self) -> str:
        """Id of the finding, the same on every host with the same rules."""
        return finding_id(self.known_as, self.content)

    @property
    def known_as(self) -> str:
        """Path of the program in the catalogue."""
        return self.place or self.path

    @property
    def hash(self) -> str:
        """SHA-256 of the content in hex, empty if unknown."""
        return self.content.hex() if len(self.content) == SHA256_BYTES else ""

    @property
    def acceptance_subject(self) -> dict[str, str]:
        """Values that acceptances match, by kind. A file that differs from its package's is not the package's."""
        package = self.package.package if self.package and self.package.vouched else ""
        return {"id": self.id, "hash": self.hash, "path": self.path, "package": package}

    def as_json(self) -> dict[str, Any]:
        """Return the finding as `findings --json` prints it."""
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


class Reason(enum.StrEnum):
    """Reason why a file was new. The values are label values."""

    NEW_PATH = "new_path"  # neither path nor content have been executed here before
    CONTENT_CHANGED = "content_changed"  # a known path, with other content
    REINSTALLED = "reinstalled"  # a known path and content in another file, or a package's own update
    RELOCATED = "relocated"  # known content at another path, in another file
    METADATA_ONLY = "metadata_only"  # a known file with other permissions or another name
    MEMFD = "memfd"  # a file in memory, without a path
    DELETED = "deleted"  # its name was removed before it was executed, or just after
    UPPER_LAYER = "upper_layer"  # new, and written into a container after its start
    SCRIPT = "script"  # new, and a script
    TEMPORARY = "temporary"  # removed after its execution, as its user's programs at this place were while learning


QUIET = frozenset({Reason.REINSTALLED, Reason.METADATA_ONLY, Reason.TEMPORARY})  # counted, but no finding
NEVER_LEARNT = frozenset({Reason.MEMFD, Reason.DELETED})
