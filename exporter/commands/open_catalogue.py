"""The catalogue as commands open it, beside the service that may be running."""

from __future__ import annotations

import argparse
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from exporter.catalogue.catalogue import Store
from exporter.catalogue.sqlite_file import Damaged, Unusable
from exporter.errors import Refusal
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
def opened(path: Path, *, create: bool = False) -> Iterator[Store]:
    """Opens a catalogue; whatever fails with it ends the command. Raises Refusal."""
    try:
        with closing(Store(path, create=create)) as store:
            yield store
    except FileNotFoundError as error:
        raise Refusal(
            f"there is no catalogue {path}", "give that of the service with --catalogue.path, or start it"
        ) from error
    except (Unusable, PermissionError) as error:
        raise Refusal(f"cannot open the catalogue {path} ({error})", "run this as the service's user") from error
    except Damaged as error:
        raise Refusal(f"{path} is no catalogue ({error})", "the service sets it aside when it starts") from error
    except sqlite3.Error as error:
        raise Refusal(f"the catalogue {path} fails ({error})", "see the service's log") from error
