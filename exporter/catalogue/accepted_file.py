"""The file of --findings.accepted-file: findings accepted on every host that has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from exporter.catalogue.acceptance import KINDS, Acceptance, check, expiry
from exporter.config import yaml_file
from exporter.config.reloaded_file import ReloadedFile
from exporter.config.yaml_file import YAMLFileError, line_of

KEYS = frozenset({*KINDS, "reason", "expires"})


def parse(text: str) -> list[Acceptance]:
    """Return the entries of the list `accepted`. Raise YAMLFileError."""
    root = yaml_file.compose(text)
    if root is None or yaml_file.construct(root) is None:
        return []
    if not isinstance(root, yaml.MappingNode):
        raise YAMLFileError("the file is not a mapping", line_of(root), "start it with accepted:")
    found: list[Acceptance] = []
    for key, value in root.value:
        if getattr(key, "value", None) != "accepted":
            raise YAMLFileError(f"unknown key {getattr(key, 'value', '?')!r}", line_of(key), "give accepted alone")
        if not isinstance(value, yaml.SequenceNode):
            if yaml_file.construct(value) is None:
                continue
            raise YAMLFileError("accepted is not a list", line_of(value))
        found += [_entry(node) for node in value.value]
    return found


def _entry(node: yaml.Node) -> Acceptance:
    entry: Any = yaml_file.construct(node)
    line = line_of(node)
    if not isinstance(entry, dict):
        raise YAMLFileError("an entry is not a mapping", line, f"give one of {', '.join(KINDS)}, and reason")
    unknown = [str(key) for key in entry if key not in KEYS]
    if unknown:
        raise YAMLFileError(f"unknown key {unknown[0]!r} in an entry", line, f"the keys are {', '.join(sorted(KEYS))}")
    kinds = [kind for kind in KINDS if kind in entry]
    if len(kinds) != 1:
        raise YAMLFileError(f"an entry has {len(kinds)} of {', '.join(KINDS)}", line, "give exactly one")
    pattern, reason = entry[kinds[0]], entry.get("reason", "")
    if not isinstance(pattern, str):
        raise YAMLFileError(f"{kinds[0]} is not a string", line, "put it in quotes")
    if not isinstance(reason, str) or not reason.strip():
        raise YAMLFileError("an entry has no reason", line, "write down why it is accepted")
    try:
        check(kinds[0], pattern)
        return Acceptance(kinds[0], pattern, reason, expiry(entry["expires"]) if "expires" in entry else None)
    except ValueError as error:
        raise YAMLFileError(str(error), line) from error


class AcceptedFile(ReloadedFile[list[Acceptance]]):
    """The entries of --findings.accepted-file."""

    name = "findings.accepted-file"

    def __init__(self, path: Path | None) -> None:
        super().__init__(path, [])

    def load(self, path: Path, _: list[Acceptance] | None) -> list[Acceptance]:
        """Return the entries of the file. Raise YAMLFileError."""
        return parse(yaml_file.read(path))
