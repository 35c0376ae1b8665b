"""The catalogue as commands open it, beside the service that may be running."""

from __future__ import annotations

import argparse
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from exporter.catalogue.catalogue import Catalogue
from exporter.catalogue.sqlite_file import Damaged, Unusable
from exporter.errors import ExporterError
from exporter.novelty.flags import CATALOGUE_PATH

VARIABLE = "EXEC_EXPORTER_CATALOGUE_PATH"


def add_catalogue_path(parser: argparse.ArgumentParser) -> None:
    """Adds the flag that says which catalogue."""
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
    """Opens a catalogue; whatever fails with it ends the command. Raises ExporterError."""
    try:
        with closing(Catalogue(path, create=create)) as catalogue:
            yield catalogue
    except FileNotFoundError as error:
        raise ExporterError(
            f"there is no catalogue {path}", "give that of the service with --catalogue.path, or start it"
        ) from error
    except (Unusable, PermissionError) as error:
        raise ExporterError(f"cannot open the catalogue {path} ({error})", "run this as the service's user") from error
    except Damaged as error:
        raise ExporterError(f"{path} is no catalogue ({error})", "the service sets it aside when it starts") from error
    except sqlite3.Error as error:
        raise ExporterError(f"the catalogue {path} fails ({error})", "see the service's log") from error
