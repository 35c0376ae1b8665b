"""The SQLite file of the catalogue: create, open, check, convert, set aside."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from exporter.catalogue.migrations import STEPS
from exporter.catalogue.ownership import OwnedError, Ownership

log = logging.getLogger(__name__)

APPLICATION_ID = 0x65786563  # "exec": shown by file(1)
VERSION = len(STEPS)
BUSY_SECONDS = 10.0
JOURNAL_BYTES = 4 << 20  # of the write-ahead log, after it was merged
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
COMPANIONS = ("-wal", "-shm")


class Unusable(Exception):
    """The catalogue cannot be used because of its directory, permissions or version; it may be intact."""


class Newer(Unusable):
    """The catalogue is of a version that only a newer exporter reads."""


class Damaged(Exception):
    """The file is not a catalogue, or is corrupt."""


def is_damage(error: sqlite3.Error) -> bool:
    """Return true if the file is corrupt, rather than the operation failed."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in DAMAGED


def connect(path: Path, *, create: bool, read_only: bool = False, owned: bool = False) -> sqlite3.Connection:
    """Open and check a catalogue, and convert an older one: with `read_only`, a copy of it in memory.

    It is converted only if no service uses it but the caller, who says that it is `owned`. Raise Unusable, Damaged or,
    with `create` false, FileNotFoundError.
    """
    try:
        if create:
            make(path)
        exists = path.exists()
    except OSError as error:
        raise Unusable(str(error.strerror)) from error
    if not exists:
        raise FileNotFoundError(path)
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        version = _version(connection)
        _prepare(connection, check=create)
        if read_only and version < VERSION:
            connection = _copy(connection)
        with contextlib.nullcontext() if owned or read_only or version in (0, VERSION) else _owned(path):
            _convert(connection, path)
        connection.execute("PRAGMA foreign_keys=ON")
    except sqlite3.Error as error:
        connection.close()
        if is_damage(error):
            raise Damaged(str(error)) from error
        raise Unusable(str(error)) from error
    except BaseException:
        connection.close()
        raise
    return connection


def make(path: Path) -> None:
    """Create the file for its owner only, as it may contain arguments; SQLite gives its companions the same mode.

    Raise OSError, Unusable.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.exists() and not path.is_file():
        raise Unusable("it is not a file")
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


@contextlib.contextmanager
def _owned(path: Path) -> Iterator[None]:
    try:
        ownership = Ownership(path)
    except (OwnedError, OSError) as error:
        raise Unusable(f"it is of an older version, and {error}: restart the service first") from error
    with contextlib.closing(ownership):
        yield


def _prepare(connection: sqlite3.Connection, check: bool) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")  # with WAL, kill -9 loses nothing, and a power cut the last seconds
    connection.execute("PRAGMA cache_size=-4096")  # KiB
    connection.execute(f"PRAGMA journal_size_limit={JOURNAL_BYTES}")
    if check:
        (result,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if result != "ok":
            raise Damaged(str(result))


def _version(connection: sqlite3.Connection) -> int:
    """Return the version, 0 of an empty file. Raise Newer, Damaged."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application == APPLICATION_ID and version > VERSION:
        raise Newer(f"it has version {version}, of a newer exec_exporter")
    if application == APPLICATION_ID and version > 0:
        return int(version)
    if tables:
        raise Damaged("a database of another application")
    return 0


def _convert(connection: sqlite3.Connection, path: Path) -> None:
    """Convert to this version, each step in one transaction."""
    before = _version(connection)
    while (version := _version(connection)) < VERSION:
        with transaction(connection):
            if _version(connection) != version:
                continue  # another process was faster
            STEPS[version](connection)
            connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version={version + 1}")
    if 0 < before < VERSION:
        log.info("the catalogue %s was converted from version %d to %d", path, before, VERSION)


def _copy(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Return a copy in memory, and close the connection."""
    memory = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    with contextlib.closing(connection):
        connection.backup(memory)
    return memory


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


def companions(path: Path) -> dict[Path, int]:
    """Return the inodes of SQLite's companions of a file, as far as they exist."""
    found = {}
    for suffix in COMPANIONS:
        with contextlib.suppress(OSError):
            companion = Path(f"{path}{suffix}")
            found[companion] = companion.stat().st_ino
    return found


def remove_stale(stale: dict[Path, int]) -> None:
    """Remove the companions of a file that is gone: SQLite would apply them to the file in its place."""
    for companion, inode in stale.items():
        with contextlib.suppress(OSError):
            if companion.stat().st_ino == inode:
                companion.unlink()


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
