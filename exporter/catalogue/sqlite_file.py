"""The SQLite file of the catalogue: create, open, check, set aside."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

log = logging.getLogger(__name__)

APPLICATION_ID = 0x65786563  # "exec": shown by file(1)
VERSION = 1
BUSY_SECONDS = 10.0
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
COMPANIONS = ("-wal", "-shm")

# `seq` only grows: the wall clock may be set back. `content` is a SHA-256, else the size as 8 bytes, else empty.
# Programs of the baseline were seeded, learnt, imported or accepted; found programs are forgotten before them.
SCHEMA = """
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


class Unusable(Exception):
    """The catalogue cannot be used because of its directory, permissions or version; it may be intact."""


class Damaged(Exception):
    """The file is not a catalogue, or is corrupt."""


def is_damage(error: sqlite3.Error) -> bool:
    """Return true if the file is corrupt, rather than the operation failed."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in DAMAGED


def connect(path: Path, *, create: bool) -> sqlite3.Connection:
    """Open and check a catalogue. Raise Unusable, Damaged or, with `create` false, FileNotFoundError."""
    try:
        if create:
            _make(path)
        exists = path.exists()
    except OSError as error:
        raise Unusable(str(error.strerror)) from error
    if not exists:
        raise FileNotFoundError(path)
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        _prepare(connection, check=create)
    except sqlite3.Error as error:
        connection.close()
        if is_damage(error):
            raise Damaged(str(error)) from error
        raise Unusable(str(error)) from error
    except BaseException:
        connection.close()
        raise
    return connection


def _make(path: Path) -> None:
    """Create the file for its owner only, as it may contain arguments; SQLite gives its companions the same mode."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def _prepare(connection: sqlite3.Connection, check: bool) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")  # with WAL, kill -9 loses nothing, and a power cut the last seconds
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA cache_size=-4096")  # KiB
    if check:
        (result,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if result != "ok":
            raise Damaged(str(result))
    with transaction(connection):
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if version > VERSION and application == APPLICATION_ID:
            raise Unusable(f"it has version {version}, of a newer exec_exporter")
        if version == VERSION and application == APPLICATION_ID:
            return
        if tables:
            raise Damaged("a database of another application")
        for statement in SCHEMA.split(";"):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={VERSION}")


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Commit everything in the block, or nothing if it raises. Raise sqlite3.Error."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):  # the first error is raised
            connection.execute("ROLLBACK")
        raise


def set_aside(path: Path) -> Path:
    """Rename a damaged catalogue and its companions; return the new path. Raise OSError."""
    stem = f"{path}.damaged-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    aside = Path(stem)
    number = 1
    while aside.exists():
        number += 1
        aside = Path(f"{stem}-{number}")
    path.rename(aside)
    for suffix in COMPANIONS:
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{suffix}").rename(f"{aside}{suffix}")
    return aside
