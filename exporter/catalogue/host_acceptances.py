"""Acceptances of a host, for commands: from its catalogue and from the file that the exporter reads."""

from __future__ import annotations

import sys
from pathlib import Path

from exporter.catalogue.acceptance import Acceptance
from exporter.catalogue.accepted_file import parse
from exporter.catalogue.catalogue import ACCEPTED_FILE, Catalogue
from exporter.config import yaml_file
from exporter.config.yaml_file import YAMLFileError


def acceptances(catalogue: Catalogue) -> list[Acceptance]:
    """Return all acceptances. Print errors of the file to stderr; the exporter keeps the entries it read before."""
    found = catalogue.acceptances()
    name = catalogue.get(ACCEPTED_FILE)
    if name:
        try:
            found += parse(yaml_file.read(Path(name)))
        except YAMLFileError as error:
            print(f"{name}:{error.line}: {error}", file=sys.stderr)
    return found
