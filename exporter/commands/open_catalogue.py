"""Access of subcommands to the catalogue, which a running service may have open too, and to acceptances."""

from __future__ import annotations

import argparse
import os
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from errno import EACCES
from pathlib import Path
from tempfile import TemporaryDirectory

from exporter.catalogue.acceptance import Acceptance
from exporter.catalogue.accepted_file import parse
from exporter.catalogue.catalogue import ACCEPTED_FILE, Catalogue
from exporter.catalogue.sqlite_file import Damaged, Newer, Unusable
from exporter.config import yaml_file
from exporter.config.yaml_file import YAMLFileError
from exporter.errors import USAGE, ExporterError, attempt
from exporter.novelty.flags import CATALOGUE_PATH

VARIABLE = "EXEC_EXPORTER_CATALOGUE_PATH"


def add_catalogue_path(parser: argparse.ArgumentParser) -> None:
    """Add the flag for the catalogue's path to a parser."""
    parser.add_argument(
        "--catalogue.path",
        dest="catalogue_path",
        metavar="FILE",
        type=Path,
        default=os.environ.get(VARIABLE) or CATALOGUE_PATH,
        help=f"the service's catalogue (default %(default)s) [{VARIABLE}]",
    )


@contextmanager
def opened(path: Path, *, create: bool = False, writing: bool = True) -> Iterator[Catalogue]:
    """Open a catalogue for the block. Raise ExporterError for every failure of the catalogue, in the block too.

    Without `writing`, it is a copy where the original cannot be opened without writing to its directory, or is of an
    older version.
    """
    try:
        with ExitStack() as stack:
            if path.exists() and not path.is_file():
                raise Unusable("it is not a file")
            if writing and path.exists() and not _is_writable(path):
                raise Unusable("it cannot be written")
            catalogue = Catalogue(path, create=create) if writing else _for_reading(path, stack)
            yield stack.enter_context(closing(catalogue))
    except FileNotFoundError as error:
        raise ExporterError(
            f"there is no catalogue {path}", "name the service's catalogue with --catalogue.path, or start the service"
        ) from error
    except Newer as error:
        what = f"cannot read the catalogue {path} ({error})"
        raise ExporterError(what, "upgrade, or give another --catalogue.path", status=USAGE) from error
    except (Unusable, PermissionError) as error:
        raise ExporterError(
            f"cannot open the catalogue {path} ({error})", "run this as the service's user, where it can be written"
        ) from error
    except Damaged as error:
        raise ExporterError(
            f"{path} is not a catalogue ({error})", "restart the service: it sets a damaged catalogue aside"
        ) from error
    except sqlite3.Error as error:
        raise ExporterError(f"the catalogue {path} fails ({error})", "see the service's log") from error


def _is_writable(path: Path) -> bool:
    return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)


def _for_reading(path: Path, stack: ExitStack) -> Catalogue:
    """Open a catalogue, or a copy of it if SQLite cannot write beside it, for example on a full disk."""
    if path.exists() and not os.access(path, os.R_OK):
        raise Unusable(os.strerror(EACCES))
    if not path.exists() or _is_writable(path):
        with suppress(Unusable):
            return Catalogue(path, create=False, read_only=True)
    return Catalogue(_copied(path, stack), create=False, read_only=True)


def _copied(path: Path, stack: ExitStack) -> Path:
    """Return a copy, with the write-ahead log, that lasts as long as the stack. Raise OSError, ExporterError."""
    with attempt("copy the catalogue to read it", "set TMPDIR to a directory that can be written"):
        directory = Path(stack.enter_context(TemporaryDirectory(prefix="exec_exporter-")))
        for suffix in ("", "-wal"):
            with suppress(FileNotFoundError):
                shutil.copyfile(f"{path}{suffix}", directory / f"{path.name}{suffix}")
    return directory / path.name


def acceptances(catalogue: Catalogue) -> list[Acceptance]:
    """Return the acceptances in a catalogue and in the file that the exporter reads.

    Print errors of the file to stderr; the exporter keeps the entries it read before.
    """
    found = catalogue.acceptances()
    name = catalogue.get(ACCEPTED_FILE)
    if name:
        try:
            found += parse(yaml_file.read(Path(name)))
        except YAMLFileError as error:
            print(f"{name}:{error.line}: {error}", file=sys.stderr)
    return found
