"""The reason why a file is new, from its properties and the catalogue. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass

from exporter.catalogue.catalogue import Known
from exporter.catalogue.finding import Reason


@dataclass(frozen=True)
class Seen:
    """Properties of a new file.

    `gone`: its name was removed after the execution; `vouched`: it has the digest that its package records;
    `installed`: this package was installed when learning ended.
    """

    memfd: bool = False
    deleted: bool = False
    gone: bool = False
    upper_layer: bool = False
    script: bool = False
    vouched: bool = False
    installed: bool = False
    maintainer_script: bool = False


def classify(seen: Seen, known: Known) -> Reason | None:
    """Return the first reason that applies, or None if the file counts as known."""
    if known.program:
        return _another_file(seen, known)
    if seen.memfd:
        return Reason.MEMFD
    if seen.deleted:
        return Reason.DELETED
    if known.same_file:
        return Reason.METADATA_ONLY
    if seen.maintainer_script or (seen.vouched and known.path):
        return Reason.REINSTALLED
    if seen.vouched and seen.installed:
        return None
    return Reason.DELETED if seen.gone else _new(seen, known)


def _another_file(seen: Seen, known: Known) -> Reason | None:
    """Return the reason for a known program in an unknown file. Files in memory are always unknown."""
    if seen.memfd or seen.deleted or not known.executed:
        return None
    return Reason.METADATA_ONLY if known.same_file else Reason.REINSTALLED


def _new(seen: Seen, known: Known) -> Reason:
    if known.path:
        return Reason.CONTENT_CHANGED
    if known.revision and not seen.upper_layer:
        return Reason.REINSTALLED
    if known.content:
        return Reason.RELOCATED
    if seen.upper_layer:
        return Reason.UPPER_LAYER
    return Reason.SCRIPT if seen.script else Reason.NEW_PATH
