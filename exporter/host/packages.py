"""Which package a file of this host belongs to, and whether it is as the package brought it."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

MD5, SHA256 = "md5", "sha256"
KEPT_BYTES = 16  # of each digest: all of an MD5
PART = (1 << 20) - 1  # the bits of a hash in whose place an index has the number of a package
AGREES, DIFFERS, UNKNOWN, NOT_RECORDED = "agrees", "differs", "unknown", "not recorded"


@dataclass(frozen=True)
class PackageVerdict:
    """What a package database says of a file. `digest` is one of the words above."""

    manager: str
    package: str
    digest: str
    maintainer_script: bool = False

    @property
    def vouched(self) -> bool:
        """Whether the file is as the package brought it."""
        return self.digest == AGREES


@dataclass(frozen=True)
class Owner:
    """The package that owns a path, and the first bytes of the digest that it should have, if one is recorded."""

    manager: str
    package: str
    algorithm: str = MD5
    recorded: bytes | None = None
    maintainer_script: bool = False

    @property
    def needs_md5(self) -> bool:
        """Whether the file's MD5 is asked for."""
        return self.recorded is not None and self.algorithm == MD5

    def explain(self, sha256: bytes | None, md5: bytes | None) -> PackageVerdict:
        """What follows from the digests that the file has; None are those that could not be had."""
        found = md5 if self.algorithm == MD5 else sha256
        if self.recorded is None:
            said = NOT_RECORDED
        elif found is None:
            said = UNKNOWN
        else:
            said = AGREES if found[:KEPT_BYTES] == self.recorded else DIFFERS
        return PackageVerdict(self.manager, self.package, said, self.maintainer_script)


class Database(Protocol):
    """The files of one package manager."""

    def installed(self) -> set[str]:
        """The names of all packages."""
        ...

    def owner(self, path: bytes) -> Owner | None:
        """The owner of an absolute path without symbolic links."""
        ...


class Packages:
    """All package databases of a host, asked in turn."""

    def __init__(self, databases: Iterable[Database] = ()) -> None:
        self._databases = tuple(databases)

    def installed(self) -> set[str]:
        """The names of all packages."""
        return {name for database in self._databases for name in database.installed()}

    def owner(self, path: bytes) -> Owner | None:
        """The owner of an absolute path without symbolic links, under this name or the one before /usr was merged."""
        for database in self._databases:
            for name in names(path):
                found = database.owner(name)
                if found:
                    return found
        return None


def names(path: bytes) -> tuple[bytes, ...]:
    """The names by which a package may know a path: where /bin is a link to /usr/bin, packages may still say /bin."""
    if path.startswith((b"/usr/bin/", b"/usr/sbin/", b"/usr/lib")):
        return path, path.removeprefix(b"/usr")
    return (path,)


class Digests:
    """Paths, digests and numbers of packages of many files, in 28 bytes each. A path is looked up by its keyed hash."""

    def __init__(self, files: Iterable[tuple[bytes, bytes, int]]) -> None:
        rows = sorted((hash(path) & (1 << 64) - 1, digest, number) for path, digest, number in files)
        self._hashes = array("Q", (row[0] for row in rows))
        self._digests = b"".join(digest[:KEPT_BYTES].ljust(KEPT_BYTES, b"\0") for _, digest, _ in rows)
        self._numbers = array("I", (row[2] for row in rows))

    def __len__(self) -> int:
        return len(self._hashes)

    def places(self, number: int) -> Iterable[int]:
        """What `Index` keeps of each of them."""
        return (each & ~PART | number for each in self._hashes)

    def find(self, path: bytes) -> tuple[bytes, int] | None:
        """The first bytes of the digest of a file, and the number of its package."""
        wanted = hash(path) & (1 << 64) - 1
        place = bisect_left(self._hashes, wanted)
        if place == len(self._hashes) or self._hashes[place] != wanted:
            return None
        return self._digests[place * KEPT_BYTES : (place + 1) * KEPT_BYTES], self._numbers[place]


class Index:
    """Many `Digests`, looked through at the cost of one. It takes 8 bytes for each file more."""

    def __init__(self, parts: Sequence[Digests]) -> None:
        self._parts = parts
        self._places = array("Q", sorted(place for number, part in enumerate(parts) for place in part.places(number)))

    def find(self, path: bytes) -> tuple[int, bytes] | None:
        """The number of the first part that has a path, and the first bytes of the digest there."""
        wanted = hash(path) & (1 << 64) - 1 & ~PART
        for place in self._places[bisect_left(self._places, wanted) : bisect_right(self._places, wanted | PART)]:
            found = self._parts[place & PART].find(path)
            if found:
                return place & PART, found[0]
        return None
