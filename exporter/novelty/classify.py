"""Why a file that has not been seen before is or is not something new. Pure: what is known comes in as an argument."""

from __future__ import annotations

from dataclasses import dataclass

from exporter.catalogue.catalogue import Known
from exporter.catalogue.finding import Reason


@dataclass(frozen=True)
class Seen:
    """What a new file is like.

    `vouched`: the package database says that this path has this content; `installed`: that package was there when
    learning ended.
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
    """The reason to report it, or None if there is nothing to say. Decides on the first that applies."""
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
    """A program that is known, in a file that is not. Files in memory are new each time."""
    if seen.memfd or seen.deleted or not known.met:
        return None
    return Reason.METADATA_ONLY if known.same_file else Reason.REINSTALLED


def _new(seen: Seen, known: Known) -> Reason:
    if known.path:
        return Reason.CONTENT_CHANGED
    if known.content:
        return Reason.RELOCATED
    if seen.upper_layer:
        return Reason.UPPER_LAYER
    return Reason.SCRIPT if seen.script else Reason.NEW_PATH
