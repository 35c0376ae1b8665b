"""Versions of the catalogue. Each step converts one version to the next; the first makes version 1 of an empty file.

Steps that were released never change: a new version is a new step at the end, and a recorded state of the version
before in tests/unit/catalogue/recorded. A step runs in a transaction, without foreign keys, so it may rebuild tables.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable

from exporter.escape import shortened

Step = Callable[[sqlite3.Connection], None]


def _sql(script: str) -> Step:
    """Return a step that executes statements. None of their strings contains a semicolon."""

    def step(connection: sqlite3.Connection) -> None:
        for statement in script.split(";"):
            connection.execute(statement)

    return step


# `seq` only grows: the wall clock may be set back. `content` is a SHA-256, else the size as 8 bytes, else empty.
# Programs of the baseline were seeded, learnt, imported or accepted; found programs are forgotten before them.
_FIRST = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE programs (
    id INTEGER PRIMARY KEY,
    path TEXT NOT NULL,
    content BLOB NOT NULL,
    origin TEXT NOT NULL,
    baseline INTEGER NOT NULL,
    first_seen REAL NOT NULL,
    last_seen REAL NOT NULL,
    seq INTEGER NOT NULL,
    UNIQUE (path, content)
);
CREATE INDEX programs_by_content ON programs (content);
CREATE INDEX programs_by_age ON programs (baseline, seq);
CREATE TABLE identities (
    file BLOB NOT NULL,
    rest BLOB NOT NULL,
    program INTEGER NOT NULL REFERENCES programs ON DELETE CASCADE,
    UNIQUE (file, rest)
);
CREATE INDEX identities_by_program ON identities (program);
CREATE TABLE keys (
    key BLOB NOT NULL UNIQUE,
    path TEXT NOT NULL,
    interpreter TEXT NOT NULL,
    stdin_type TEXT NOT NULL,
    watched INTEGER NOT NULL,
    program INTEGER REFERENCES programs ON DELETE CASCADE
);
CREATE INDEX keys_by_program ON keys (program);
CREATE TABLE findings (
    id TEXT PRIMARY KEY,
    reason TEXT NOT NULL,
    path TEXT NOT NULL,
    interpreter TEXT NOT NULL,
    content BLOB NOT NULL,
    first_seen REAL NOT NULL,
    last_seen REAL NOT NULL,
    sightings INTEGER NOT NULL,
    manager TEXT NOT NULL,
    package TEXT NOT NULL,
    digest TEXT NOT NULL,
    record TEXT NOT NULL
);
CREATE INDEX findings_by_age ON findings (first_seen);
CREATE TABLE acceptances (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    pattern TEXT NOT NULL,
    reason TEXT NOT NULL,
    expires REAL,
    created REAL NOT NULL,
    UNIQUE (kind, pattern)
);
CREATE TABLE totals (reason TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;
"""


def _shorten(connection: sqlite3.Connection) -> None:
    """Shorten labels, which had up to 16 KiB, and adapt the ids of findings, which are hashes of path and content."""
    for table, columns in (("programs", ("path",)), ("keys", ("path", "interpreter")), ("findings", ("interpreter",))):
        for column in columns:
            for rowid, label in connection.execute(f"SELECT rowid, {column} FROM {table}").fetchall():  # noqa: S608
                if shortened(label) != label:
                    query = f"UPDATE {table} SET {column} = ? WHERE rowid = ?"  # noqa: S608 - names of ours
                    connection.execute(query, (shortened(label), rowid))
    for old, path, content in connection.execute("SELECT id, path, content FROM findings").fetchall():
        if shortened(path) != path:
            parts = b"exec_exporter finding", shortened(path).encode(), content
            new = hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]
            connection.execute("UPDATE findings SET id = ?, path = ? WHERE id = ?", (new, shortened(path), old))
            query = "UPDATE acceptances SET pattern = ? WHERE kind = 'id' AND pattern = ?"
            connection.execute(query, (new, old))


def _add_sizes(connection: sqlite3.Connection) -> None:
    """Add the sizes of programs in bytes, which are known of those that were not read."""
    connection.execute("ALTER TABLE programs ADD COLUMN size INTEGER")
    connection.execute("CREATE INDEX programs_by_size ON programs (path, size)")
    for rowid, content in connection.execute("SELECT id, content FROM programs WHERE length(content) = 8").fetchall():
        connection.execute("UPDATE programs SET size = ? WHERE id = ?", (int.from_bytes(content, "big"), rowid))


# A program has the `scope` in which it was executed last; once that was the host's (0), it stays. `place` is the path
# under which a program that was found is known, if a rule folds it. `written` is set for files that an overlay copied
# up: whether they were written to since.
_SCOPES = """
ALTER TABLE programs ADD COLUMN scope INTEGER;
UPDATE programs SET scope = 0;
CREATE INDEX programs_by_scope ON programs (path, scope);
ALTER TABLE findings ADD COLUMN place TEXT NOT NULL DEFAULT '';
ALTER TABLE keys ADD COLUMN written INTEGER;
DROP INDEX findings_by_age
"""

STEPS: tuple[Step, ...] = (_sql(_FIRST), _shorten, _add_sizes, _sql(_SCOPES))
