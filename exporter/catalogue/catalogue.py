"""The catalogue: programs, their files, the probe's keys, findings and acceptances, as rows in SQLite.

A program is a path, as a label value, with a content. Call methods that change rows in a `transaction`. All methods
raise sqlite3.Error.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exporter.catalogue import sqlite_file
from exporter.catalogue.acceptance import Acceptance
from exporter.catalogue.finding import SHA256_BYTES, Finding, Reason, content_key, digest_of
from exporter.events.decode import Identity
from exporter.events.labels import Labels
from exporter.host.packages import PackageVerdict

FOUND, LEARNT, SEEDED, IMPORTED = "found", "learnt", "seeded", "imported"
ACCEPTED_FILE = "accepted_file"  # name of the value with the path of the exporter's --findings.accepted-file
MEMFD = "[memfd]"  # path of all files in memory
HOST_SCOPE = 0  # of programs of the host itself, rather than of a container
SEVERAL_SCOPES = -1  # of a program that was not read, and stands for those of its path and size in any scope
FINDINGS = 10_000  # at most, accepted and open
LATEST = 64  # programs of a file that are compared: anybody can rewrite a file any number of times
# A program that was not read, while this content was, in one of the scopes.
_STANDS_FOR_SEVERAL = "SELECT 1 FROM programs WHERE id = ? AND content != ? AND scope = ?"
_REVISION = re.compile(r"/x?[0-9]+(?=/)")  # a directory for each revision, as of snaps
_SHARE = 32  # the part of the oldest rows that are forgotten at once if there are too many bytes
# The oldest findings, accepted ones first, the oldest programs, found ones first, and keys without a program.
_OLDEST = (
    "DELETE FROM findings WHERE id IN (SELECT id FROM findings AS finding ORDER BY EXISTS (SELECT 1 FROM programs"  # noqa: S608
    " WHERE path = iif(place = '', finding.path, place) AND content = finding.content AND baseline) DESC, rowid"
    f" LIMIT (SELECT (count(*) + {_SHARE - 1}) / {_SHARE} FROM findings))",
    "DELETE FROM programs WHERE id IN (SELECT id FROM programs ORDER BY baseline, seq"  # noqa: S608
    f" LIMIT (SELECT (count(*) + {_SHARE - 1}) / {_SHARE} FROM programs))",
    "DELETE FROM keys WHERE rowid IN (SELECT rowid FROM keys WHERE program IS NULL ORDER BY rowid"  # noqa: S608
    f" LIMIT (SELECT (count(*) + {_SHARE - 1}) / {_SHARE} FROM keys))",
)
_FINDING = "reason, path, interpreter, content, first_seen, last_seen, sightings, manager, package, digest, place"


class Catalogue:
    """A connection to a catalogue. One thread at a time; other processes may use the same file.

    With `read_only`, what is changed may be lost. `owned` says that no other service uses it.
    """

    def __init__(self, path: Path, *, create: bool, read_only: bool = False, owned: bool = False) -> None:
        self.path = path
        self._db = sqlite_file.connect(path, create=create, read_only=read_only, owned=owned)
        (self._seq,) = self._db.execute("SELECT coalesce(max(seq), 0) FROM programs").fetchone()
        self.file = _file(path)

    def close(self) -> None:
        """Close the connection, which merges the write-ahead log into the file."""
        self._db.close()

    def merge(self) -> None:
        """Merge the write-ahead log into the file, so that a copy of the file alone has everything until now."""
        self._db.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def back_up(self, path: Path) -> None:
        """Write a copy into a new file, which no other process may use yet."""
        with contextlib.closing(sqlite3.connect(path)) as copy:
            self._db.backup(copy)

    def transaction(self) -> AbstractContextManager[None]:
        """Commit everything in the block, or nothing if it raises."""
        return sqlite_file.transaction(self._db)

    @property
    def is_there(self) -> bool:
        """True if the path still leads to the open file."""
        return _file(self.path) == self.file

    @property
    def version(self) -> int:
        """A number that changes when another process has changed the catalogue."""
        return int(self._db.execute("PRAGMA data_version").fetchone()[0])

    # Single values

    def get(self, name: str) -> Any:
        """Return the value of a name, or None."""
        return self._one("SELECT value FROM meta WHERE name = ?", name)

    def set(self, name: str, value: bytes | str | float) -> None:
        """Store a value under a name."""
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

    # Programs, and their files

    def program_of(self, identity: Identity) -> int | None:
        """Return the program that was executed in exactly this file, or None."""
        query = "SELECT program FROM identities WHERE file = ? AND rest = ?"
        program: int | None = self._one(query, identity.file, identity.rest)
        return program

    def known(
        self,
        path: str,
        content: bytes,
        size: int | None,
        identity: Identity,
        scope: int | None = HOST_SCOPE,
        *,
        learning: bool = False,
    ) -> Known:
        """Return the state of the catalogue regarding a path in a scope, a content key, a size in bytes and a file.

        A program whose content could not be read is known by its size; while `learning`, in its own scope alone.
        """
        one = self._one
        digest = digest_of(content)
        program = self._same_program(path, content, size, scope, learning=learning)
        return Known(
            program=program is not None,
            executed=program is not None
            and one("SELECT 1 FROM identities WHERE program = ? LIMIT 1", program) is not None,
            path=one("SELECT 1 FROM programs WHERE path = ? AND scope = ? LIMIT 1", path, scope) is not None,
            content=digest is not None and one("SELECT 1 FROM programs WHERE content = ? LIMIT 1", digest) is not None,
            revision=digest is not None and self._is_of_another_revision(path, digest),
            same_file=identity.inode != 0
            and one(
                "SELECT 1 FROM (SELECT program FROM identities WHERE file = ? ORDER BY rest DESC LIMIT ?)"
                " CROSS JOIN programs ON id = program WHERE content = ? LIMIT 1",  # in this order
                identity.file,
                LATEST,
                content,
            )
            is not None,
        )

    def _is_of_another_revision(self, path: str, digest: bytes) -> bool:
        """Return true if a program of the baseline with this content has a path with other numbers of directories."""
        query = "SELECT path FROM (SELECT path, baseline FROM programs WHERE content = ? LIMIT ?) WHERE baseline"
        wanted = _REVISION.sub("/*", path)
        return any(
            known != path and _REVISION.sub("/*", known) == wanted
            for (known,) in self._db.execute(query, (digest, LATEST))
        )

    def _same_program(
        self, path: str, content: bytes, size: int | None, scope: int | None, *, learning: bool
    ) -> int | None:
        """Return the program at a path with this content, or, if one of both was not read, with this size.

        An unknown size differs from none, except where the path is not that of one file. A found program that was not
        read is another once it is read: who is quick enough to avoid that could choose the content. Files in memory
        share a path. Programs of two images may have the same size: what was not read stands for a content in its own
        scope alone, and so does a size while all are learnt.
        """
        named = path.startswith("/")

        def one(condition: str, *values: Any, scope: int | None) -> int | None:
            within = "(scope IS NULL OR ?1 IS NULL OR scope IN (?1, ?2))"
            query = f"SELECT id FROM programs WHERE path = ?3 AND {condition} AND {within} LIMIT 1"  # noqa: S608
            found: int | None = self._one(query, scope, SEVERAL_SCOPES, path, *values)
            return found

        program = one("content = ?", content, scope=None)
        if program is None and digest_of(content):
            unread = content_key(None, size), b"" if named else content
            return one("content IN (?, ?) AND (baseline OR path = ?)", *unread, MEMFD, scope=scope)
        scope = scope if learning else None
        if program is None and size is None and named:
            program = one("true", scope=scope)
        elif program is None:
            program = one("size = ?", size, scope=scope)
            if program is None and named:
                program = one("size IS NULL", scope=scope)
        return program

    def remember(
        self,
        path: str,
        content: bytes,
        origin: str,
        now: float,
        identity: Identity | None = None,
        size: int | None = None,
        scope: int | None = HOST_SCOPE,
        *,
        learning: bool = False,
    ) -> int:
        """Add or update a program, with the file in which it was executed and its scope; return its number.

        A program of the baseline that was not read before has this content from now on, unless it stands for those of
        several scopes. A file that was not read does not stand for a program that was: it is looked at again.
        """
        self._seq += 1
        program = self._same_program(path, content, size, scope, learning=learning)
        read = digest_of(content) is not None
        if program is None or (read and self._one(_STANDS_FOR_SEVERAL, program, content, SEVERAL_SCOPES)):
            (program,) = self._db.execute(
                "INSERT INTO programs (path, content, size, origin, baseline, first_seen, last_seen, seq, scope)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
                (path, content, size, origin, origin != FOUND, now, now, self._seq, scope),
            ).fetchone()
        else:
            self._db.execute(
                "UPDATE programs SET last_seen = ?, seq = ?, size = coalesce(size, ?) WHERE id = ?",
                (now, self._seq, size, program),
            )
            self._add_scope(program, scope, read=read, learning=learning)
        if read:
            query = "UPDATE programs SET content = ? WHERE id = ? AND length(content) < length(?) AND origin != ?"
            self._db.execute(query, (content, program, content, FOUND))
        if identity and self._one("SELECT 1 FROM programs WHERE id = ? AND content = ?", program, content):
            row = identity.file, identity.rest, program
            self._db.execute("INSERT OR REPLACE INTO identities VALUES (?, ?, ?)", row)
        return program

    def _add_scope(self, program: int, scope: int | None, *, read: bool, learning: bool) -> None:
        """Note that a program was executed in this scope: it has the last one, but the host's stays."""
        if read:
            query = "UPDATE programs SET scope = coalesce(?, scope) WHERE id = ? AND scope IS NOT ?"
            self._db.execute(query, (scope, program, HOST_SCOPE))
        elif learning:
            query = "UPDATE programs SET scope = ? WHERE id = ? AND scope != ? AND length(content) < ?"
            self._db.execute(query, (SEVERAL_SCOPES, program, scope, SHA256_BYTES))

    def is_learnt(self, path: str) -> bool:
        """Return true if a program of the baseline has this path."""
        return self._one("SELECT 1 FROM programs WHERE path = ? AND baseline LIMIT 1", path) is not None

    def touch(self, programs: Iterable[int], now: float) -> None:
        """Mark programs, by number, as executed last: they are the last to be forgotten."""
        self._seq += 1
        rows = [(now, self._seq, program) for program in programs]
        self._db.executemany("UPDATE programs SET last_seen = ?, seq = ? WHERE id = ?", rows)

    def programs(self) -> Iterator[tuple[str, bytes, bool]]:
        """Yield path, content key and whether it is in the baseline, of each program."""
        for path, content, baseline in self._db.execute("SELECT path, content, baseline FROM programs ORDER BY id"):
            yield path, content, bool(baseline)

    def adopt(self, path: str, content: bytes) -> None:
        """Add a found program to the baseline."""
        self._db.execute("UPDATE programs SET baseline = 1 WHERE path = ? AND content = ?", (path, content))

    def count(self, table: str) -> int:
        """Return the number of rows of a table."""
        return int(self._db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608 - a name of ours

    # The keys of the probe's map

    def name_key(
        self, key: bytes, labels: Labels, program: int | None, *, watched: bool, written: bool | None = None
    ) -> None:
        """Store labels and program of a key. A `watched` key is that of a script not identified by its file.

        `written` is the verdict on a file that was copied up.
        """
        row = (key, *labels, watched, program, written)
        self._db.execute("INSERT OR REPLACE INTO keys VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    def program_of_key(self, key: bytes) -> tuple[int | None, bool] | None:
        """Return the program of a key and whether it is watched; None for a key that is not stored."""
        row = self._db.execute("SELECT program, watched FROM keys WHERE key = ?", (key,)).fetchone()
        return (row[0], bool(row[1])) if row else None

    def labels(self, limit: int) -> dict[bytes, Labels]:
        """Return the labels of the newest keys."""
        query = "SELECT key, path, interpreter, stdin_type FROM keys ORDER BY rowid DESC LIMIT ?"
        return {key: Labels(*labels) for key, *labels in self._db.execute(query, (limit,))}

    def written(self) -> dict[bytes, bool]:
        """Return the verdicts on files that were copied up, by key."""
        rows = self._db.execute("SELECT key, written FROM keys WHERE written IS NOT NULL ORDER BY rowid")
        return {key: bool(written) for key, written in rows}

    def forget_keys(self) -> None:
        """Forget all keys."""
        self._db.execute("DELETE FROM keys")

    # Findings

    def add_finding(self, finding: Finding, record: str) -> bool:
        """Add a finding with the record of the exec as JSON, or another sighting of it; return true if it is new."""
        query = "UPDATE findings SET last_seen = ?, sightings = sightings + 1 WHERE id = ?"
        again = self._db.execute(query, (finding.last_seen, finding.id)).rowcount
        if not again:
            package = finding.package
            self._db.execute(
                f"INSERT INTO findings (id, {_FINDING}, record) VALUES ({', '.join('?' * 13)})",  # noqa: S608 - names of ours
                (
                    *(finding.id, str(finding.reason), finding.path, finding.interpreter, finding.content),
                    *(finding.first_seen, finding.last_seen, finding.sightings),
                    *((package.manager, package.package, package.digest) if package else ("", "", "")),
                    finding.place,
                    record,
                ),
            )
        return not again

    def findings(self, prefix: str = "") -> Iterator[Finding]:
        """Yield the findings whose id starts with a prefix, the newest first."""
        query = f"SELECT {_FINDING} FROM findings WHERE id >= ? AND id < ? ORDER BY rowid DESC"  # noqa: S608
        for reason, path, interpreter, content, first, last, sightings, *package, place in self._db.execute(
            query, (prefix, f"{prefix}g")
        ):
            verdict = PackageVerdict(*package) if package[1] else None
            yield Finding(Reason(reason), path, interpreter, content, first, last, sightings, verdict, place)

    def record(self, finding: Finding) -> str:
        """Return the record of the exec that led to a finding, as JSON."""
        return str(self._one("SELECT record FROM findings WHERE id = ?", finding.id) or "{}")

    def forget(self, finding: Finding) -> None:
        """Forget a finding and its program, which will be found again."""
        self.drop_finding(finding)
        self._db.execute("DELETE FROM programs WHERE path = ? AND content = ?", (finding.known_as, finding.content))

    def drop_finding(self, finding: Finding) -> None:
        """Forget a finding, but not its program."""
        self._db.execute("DELETE FROM findings WHERE id = ?", (finding.id,))

    # Totals and acceptances

    def totals(self) -> dict[str, int]:
        """Return the number of new files by reason."""
        return dict(self._db.execute("SELECT reason, count FROM totals"))

    def add_to_total(self, reason: Reason) -> None:
        """Count a new file."""
        self._db.execute(
            "INSERT INTO totals VALUES (?, 1) ON CONFLICT (reason) DO UPDATE SET count = count + 1", (str(reason),)
        )

    def acceptances(self) -> list[Acceptance]:
        """Return all acceptances, the newest last."""
        query = "SELECT kind, pattern, reason, expires, id FROM acceptances ORDER BY id"
        return [Acceptance(*row) for row in self._db.execute(query)]

    def accept(self, acceptance: Acceptance, now: float) -> None:
        """Store an acceptance, in place of an older one with the same pattern."""
        self._db.execute(
            "INSERT OR REPLACE INTO acceptances (kind, pattern, reason, expires, created) VALUES (?, ?, ?, ?, ?)",
            (acceptance.kind, acceptance.pattern, acceptance.reason, acceptance.expires, now),
        )

    def withdraw(self, acceptance: Acceptance) -> bool:
        """Delete an acceptance; return false if there was none."""
        query = "DELETE FROM acceptances WHERE kind = ? AND pattern = ?"
        return bool(self._db.execute(query, (acceptance.kind, acceptance.pattern)).rowcount)

    # Bounds

    @property
    def bytes(self) -> int:
        """Size of all rows and indexes, in whole pages."""
        size, pages, free = (self._one(f"PRAGMA {name}") for name in ("page_size", "page_count", "freelist_count"))
        return int(size * (pages - free))

    def trim(self, max_entries: int, max_bytes: int) -> int:
        """Forget programs beyond `max_entries` or `max_bytes`, and findings; return how many.

        Found programs go before those of the baseline, the longest not executed first: executing very many new programs
        makes the catalogue forget them, and not the baseline.
        """
        evicted = self._trim_entries(max_entries)
        while self.bytes > max_bytes:
            before = evicted
            for query in _OLDEST:
                evicted += self._db.execute(query).rowcount
            if evicted == before:
                break
        return evicted

    def _trim_entries(self, max_entries: int) -> int:
        evicted = 0
        surplus = self.count("programs") - max_entries
        if surplus > 0:
            slack = surplus + max_entries // 100
            query = "DELETE FROM programs WHERE id IN (SELECT id FROM programs ORDER BY baseline, seq LIMIT ?)"
            evicted += self._db.execute(query, (slack,)).rowcount
        for table in ("identities", "keys"):
            surplus = self.count(table) - 2 * max_entries
            if surplus > 0:
                query = f"DELETE FROM {table} WHERE rowid IN (SELECT rowid FROM {table} ORDER BY rowid LIMIT ?)"  # noqa: S608
                self._db.execute(query, (surplus + max_entries // 100,))
        surplus = self.count("findings") - min(FINDINGS, max_entries)
        if surplus > 0:
            query = "DELETE FROM findings WHERE id IN (SELECT id FROM findings ORDER BY rowid LIMIT ?)"
            evicted += self._db.execute(query, (surplus,)).rowcount
        return evicted

    def _one(self, query: str, *values: Any) -> Any:
        row = self._db.execute(query, values).fetchone()
        return row[0] if row else None


def _file(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


@dataclass(frozen=True)
class Known:
    """State of the catalogue regarding a new file's path and content.

    `program`: it has that content at that path; `executed`: from a file, rather than imported or seeded; `same_file`:
    that content was executed from this very file, under whatever name; `revision`: it was learnt in a directory that
    differs from this one in numbers alone.
    """

    program: bool = False
    executed: bool = False
    path: bool = False
    content: bool = False
    same_file: bool = False
    revision: bool = False
