"""Why a file that has not been seen before is or is not something new. Pure: what is known comes in as an argument."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Reason(enum.StrEnum):
    """What a file is that was seen for the first time. The values are label values."""

    NEW_PATH = "new_path"  # neither path nor content have been executed here before
    CONTENT_CHANGED = "content_changed"  # a known path, with other content
    REINSTALLED = "reinstalled"  # a known path and content in another file, or a package's own update
    RELOCATED = "relocated"  # known content at another path, in another file
    METADATA_ONLY = "metadata_only"  # a known file: other permissions, or one more name
    MEMFD = "memfd"  # a file in memory, without a path
    DELETED = "deleted"  # its name was gone when it was executed, or a moment later
    UPPER_LAYER = "upper_layer"  # new, and written into a container after its start
    SCRIPT = "script"  # new, and a script


QUIET = frozenset({Reason.REINSTALLED, Reason.METADATA_ONLY})  # counted, and no finding
NEVER_LEARNT = frozenset({Reason.MEMFD, Reason.DELETED})


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


@dataclass(frozen=True)
class Known:
    """What the catalogue knows of a new file's path and content.

    `program` is whether it has that content at that path, `met` whether it was met in a file (not only imported, or
    found running), `same_file` whether it was in this very file, under whatever name.
    """

    program: bool = False
    met: bool = False
    path: bool = False
    content: bool = False
    same_file: bool = False


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
