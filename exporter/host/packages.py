"""The package that a file of this host belongs to, and whether the file is as the package shipped it."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

MD5, SHA256 = "md5", "sha256"
DIGEST_BYTES = 16  # of each digest: all of an MD5
PART = (1 << 20) - 1  # the low bits of a hash, which an index replaces by the number of a part
AGREES, DIFFERS, UNKNOWN, NOT_RECORDED = "agrees", "differs", "unknown", "not recorded"


@dataclass(frozen=True)
class PackageVerdict:
    """A package database's verdict on a file. `digest` is AGREES, DIFFERS, UNKNOWN or NOT_RECORDED."""

    manager: str
    package: str
    digest: str
    maintainer_script: bool = False

    @property
    def vouched(self) -> bool:
        """True if the file is as the package shipped it."""
        return self.digest == AGREES


@dataclass(frozen=True)
class Owner:
    """The package that owns a path; `recorded` is the beginning of the digest the file should have, if known."""

    manager: str
    package: str
    algorithm: str = MD5
    recorded: bytes | None = None
    maintainer_script: bool = False

    @property
    def needs_md5(self) -> bool:
        """True if the verdict depends on the file's MD5."""
        return self.recorded is not None and self.algorithm == MD5

    def explain(self, sha256: bytes | None, md5: bytes | None) -> PackageVerdict:
        """Return the verdict on a file with these digests; None are unknown."""
        found = md5 if self.algorithm == MD5 else sha256
        if self.recorded is None:
            digest = NOT_RECORDED
        elif found is None:
            digest = UNKNOWN
        else:
            digest = AGREES if found[:DIGEST_BYTES] == self.recorded else DIFFERS
        return PackageVerdict(self.manager, self.package, digest, self.maintainer_script)


class Database(Protocol):
    """The files of one package manager."""

    def installed(self) -> set[str]:
        """Return the names of all installed packages."""
        ...

    def owner(self, path: bytes) -> Owner | None:
        """Return the owner of an absolute path without symbolic links."""
        ...


class Packages:
    """All package databases of a host, searched in turn. One thread may use it."""

    def __init__(self, databases: Iterable[Database] = ()) -> None:
        self._databases = tuple(databases)

    def installed(self) -> set[str]:
        """Return the names of all installed packages."""
        return {name for database in self._databases for name in database.installed()}

    def owner(self, path: bytes) -> Owner | None:
        """Return the owner of an absolute path without symbolic links, which may be from before /usr was merged."""
        for database in self._databases:
            for name in names(path):
                found = database.owner(name)
                if found:
                    return found
        return None


def names(path: bytes) -> tuple[bytes, ...]:
    """Return the names that a package may have for a path: where /bin is a link to /usr/bin, either."""
    if path.startswith((b"/usr/bin/", b"/usr/sbin/", b"/usr/lib")):
        return path, path.removeprefix(b"/usr")
    return (path,)


class Digests:
    """Digests and package numbers of many files, in 28 bytes each, found by the keyed hash of the path."""

    def __init__(self, files: Iterable[tuple[bytes, bytes, int]]) -> None:
        rows = sorted((hash(path) & (1 << 64) - 1, digest, number) for path, digest, number in files)
        self._hashes = array("Q", (row[0] for row in rows))
        self._digests = b"".join(digest[:DIGEST_BYTES].ljust(DIGEST_BYTES, b"\0") for _, digest, _ in rows)
        self._numbers = array("I", (row[2] for row in rows))

    def __len__(self) -> int:
        return len(self._hashes)

    def places(self, number: int) -> Iterable[int]:
        """Yield the entry of each file in an `Index`: its hash, with `number` in place of the low bits."""
        return (each & ~PART | number for each in self._hashes)

    def find(self, path: bytes) -> tuple[bytes, int] | None:
        """Return the first bytes of the digest of a file, and the number of its package."""
        wanted = hash(path) & (1 << 64) - 1
        place = bisect_left(self._hashes, wanted)
        if place == len(self._hashes) or self._hashes[place] != wanted:
            return None
        return self._digests[place * DIGEST_BYTES : (place + 1) * DIGEST_BYTES], self._numbers[place]


class Index:
    """Many `Digests`, searched at the cost of one, for another 8 bytes per file."""

    def __init__(self, parts: Sequence[Digests]) -> None:
        self._parts = parts
        self._places = array("Q", sorted(place for number, part in enumerate(parts) for place in part.places(number)))

    def find(self, path: bytes) -> tuple[int, bytes] | None:
        """Return the number of the first part that has a path, and the first bytes of the digest there."""
        wanted = hash(path) & (1 << 64) - 1 & ~PART
        for place in self._places[bisect_left(self._places, wanted) : bisect_right(self._places, wanted | PART)]:
            found = self._parts[place & PART].find(path)
            if found:
                return place & PART, found[0]
        return None
