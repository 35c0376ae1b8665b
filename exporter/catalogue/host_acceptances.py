"""The acceptances of a host, for commands: those in its catalogue, and those of the file that the service reads."""

from __future__ import annotations

import sys
from pathlib import Path

from exporter.catalogue.acceptance import Acceptance
from exporter.catalogue.accepted_file import parse
from exporter.catalogue.catalogue import ACCEPTED_FILE, Catalogue
from exporter.config import yaml_file
from exporter.config.yaml_file import YAMLFileError


def acceptances(catalogue: Catalogue) -> list[Acceptance]:
    """All of them. A file that is wrong is said on standard error: the service keeps what it said before."""
    found = catalogue.acceptances()
    name = catalogue.get(ACCEPTED_FILE)
    if name:
        try:
            found += parse(yaml_file.read(Path(name)))
        except YAMLFileError as error:
            print(f"{name}:{error.line}: {error}", file=sys.stderr)
    return found
