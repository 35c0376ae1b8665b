"""Access of subcommands to the catalogue, which a running service may have open too, and to acceptances."""

from __future__ import annotations

import argparse
import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from exporter.catalogue.acceptance import Acceptance
from exporter.catalogue.accepted_file import parse
from exporter.catalogue.catalogue import ACCEPTED_FILE, Catalogue
from exporter.catalogue.sqlite_file import Damaged, Unusable
from exporter.config import yaml_file
from exporter.config.yaml_file import YAMLFileError
from exporter.errors import ExporterError
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
def opened(path: Path, *, create: bool = False) -> Iterator[Catalogue]:
    """Open a catalogue for the block. Raise ExporterError for every failure of the catalogue, in the block too."""
    try:
        with closing(Catalogue(path, create=create)) as catalogue:
            yield catalogue
    except FileNotFoundError as error:
        raise ExporterError(
            f"there is no catalogue {path}", "name the service's catalogue with --catalogue.path, or start the service"
        ) from error
    except (Unusable, PermissionError) as error:
        raise ExporterError(f"cannot open the catalogue {path} ({error})", "run this as the service's user") from error
    except Damaged as error:
        raise ExporterError(
            f"{path} is not a catalogue ({error})", "restart the service: it sets a damaged catalogue aside"
        ) from error
    except sqlite3.Error as error:
        raise ExporterError(f"the catalogue {path} fails ({error})", "see the service's log") from error


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
