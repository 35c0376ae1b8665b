"""The file of --findings.accepted-file: what is accepted on every node that has it. Read again when it changes."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import yaml

from exporter.catalogue.acceptance import KINDS, Acceptance, check, expiry
from exporter.config import yaml_file
from exporter.config.yaml_file import YAMLFileError, line_of
from exporter.errors import USAGE, ExporterError

log = logging.getLogger(__name__)

KEYS = frozenset({*KINDS, "reason", "expires"})


def parse(text: str) -> list[Acceptance]:
    """The entries of the list `accepted`. Raises YAMLFileError."""
    root = yaml_file.compose(text)
    if root is None or yaml_file.construct(root) is None:
        return []
    if not isinstance(root, yaml.MappingNode):
        raise YAMLFileError("it is not a mapping: it begins with accepted:", line_of(root))
    found: list[Acceptance] = []
    for key, value in root.value:
        if getattr(key, "value", None) != "accepted":
            raise YAMLFileError(f"{getattr(key, 'value', '?')!r} is not known here: only accepted is", line_of(key))
        if not isinstance(value, yaml.SequenceNode):
            if yaml_file.construct(value) is None:
                continue
            raise YAMLFileError("accepted is not a list", line_of(value))
        found += [_entry(node) for node in value.value]
    return found


def _entry(node: yaml.Node) -> Acceptance:
    said: Any = yaml_file.construct(node)
    line = line_of(node)
    if not isinstance(said, dict):
        raise YAMLFileError(f"an entry is a mapping with one of {', '.join(KINDS)}", line)
    unknown = [str(key) for key in said if key not in KEYS]
    if unknown:
        raise YAMLFileError(f"{unknown[0]!r} is not known in an entry: {', '.join(sorted(KEYS))} are", line)
    kinds = [kind for kind in KINDS if kind in said]
    if len(kinds) != 1:
        raise YAMLFileError(f"an entry has one of {', '.join(KINDS)}, this one has {len(kinds)}", line)
    pattern, reason = said[kinds[0]], said.get("reason", "")
    if not isinstance(pattern, str):
        raise YAMLFileError(f"{kinds[0]} is not a text: put it in quotes", line)
    if not isinstance(reason, str) or not reason.strip():
        raise YAMLFileError("an entry says in reason why it is there", line)
    try:
        check(kinds[0], pattern)
        return Acceptance(kinds[0], pattern, reason, expiry(said["expires"]) if "expires" in said else None)
    except ValueError as error:
        raise YAMLFileError(str(error), line) from error


class AcceptedFile:
    """The file, or none. What was good last stays until the next good one.

    Raises ExporterError if it is bad to begin with.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._seen = self._state()
        self.entries: list[Acceptance] = []
        self.failed = False
        if path:
            try:
                self.entries = parse(yaml_file.read(path))
            except YAMLFileError as error:
                where = f"{path}:{error.line}" if error.line else f"--findings.accepted-file={path}"
                raise ExporterError(f"{where}: {error}", error.remedy or "correct it", status=USAGE) from error

    def changed(self) -> bool:
        """Reads the file if it has changed; whether its entries have. What is wrong with it is logged once."""
        state = self._state()
        if self.path is None or state == self._seen:
            return False
        self._seen = state
        try:
            self.entries, self.failed = parse(yaml_file.read(self.path)), False
        except YAMLFileError as error:
            self.failed = True
            log.error("%s:%d has changed and its last good state stays in force: %s", self.path, error.line, error)
            return False
        log.info("%s has changed and is in force: %d entries", self.path, len(self.entries))
        return True

    def _state(self) -> tuple[int, ...] | None:
        try:
            status = self.path.stat() if self.path else None
        except OSError:
            return None
        return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns) if status else None
