"""YAML files of bounded size, with line numbers in all errors."""

from __future__ import annotations

import os
import select
import time
from errno import ETIMEDOUT
from pathlib import Path
from typing import Any

import yaml

from exporter.errors import USAGE, ExporterError, remedy_of

MAX_BYTES = 1 << 20
MAX_NODES = 50_000
PIPE_SECONDS = 5.0  # for a file that is a pipe, as of a shell's <(command), to be written


class YAMLFileError(ValueError):
    """A message for the author of a file. `line` counts from 1; 0 is the file as a whole."""

    def __init__(self, what: str, line: int = 0, remedy: str = "") -> None:
        super().__init__(what)
        self.line = line
        self.remedy = remedy

    def refusal(self, path: Path, origin: str) -> ExporterError:
        """Return the error that names the line, or else `origin` of the file, and the remedy."""
        where = f"{path}:{self.line}" if self.line else f"{origin}={path}"
        return ExporterError(f"{where}: {self}", self.remedy or "correct it", status=USAGE)


def line_of(node: yaml.Node) -> int:
    """Return the line on which a node begins, counted from 1."""
    return int(node.start_mark.line) + 1


def read(path: Path) -> str:
    """Return the text of a file. Raise YAMLFileError."""
    try:
        content = _content(path)
    except OSError as error:
        raise YAMLFileError(error.strerror or "the file cannot be read", remedy=remedy_of(error, "")) from error
    if len(content) > MAX_BYTES:
        raise YAMLFileError(f"it is longer than {MAX_BYTES} bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise YAMLFileError("it is not UTF-8", content.count(b"\n", 0, error.start) + 1) from error


def _content(path: Path) -> bytes:
    """Return at most MAX_BYTES + 1 bytes of a file. Raise OSError, also if a pipe is not written in PIPE_SECONDS."""
    with open(path, "rb", 0, opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        content, end, readable = b"", time.monotonic() + PIPE_SECONDS, select.poll()
        readable.register(file, select.POLLIN)
        while len(content) <= MAX_BYTES:
            if not readable.poll(max(0.0, end - time.monotonic()) * 1000):
                raise TimeoutError(ETIMEDOUT, f"a pipe that is not written and closed within {PIPE_SECONDS:g} s")
            part = file.read(MAX_BYTES + 1 - len(content))
            if part == b"":
                break
            content += part or b""
    return content


def compose(text: str) -> yaml.Node | None:
    """Return the nodes of a document, None for an empty one.

    Raise YAMLFileError, also for duplicate keys and for aliases that expand to more than MAX_NODES.
    """
    try:
        root = yaml.compose(text, yaml.SafeLoader)
        if root:
            _check(root, {})
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise YAMLFileError(f"it is not YAML: {error.reason}", line) from error
    except yaml.MarkedYAMLError as error:
        raise _not_yaml(error) from error
    except RecursionError as error:
        raise YAMLFileError("it is nested too deeply") from error
    return root


class TextLoader(yaml.SafeLoader):
    """Loads scalars as text, for formats where the key decides the type: 123 may be a user name."""


def _text(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> str:
    return str(loader.construct_scalar(node))


for _tag in ("bool", "int", "float", "timestamp"):
    TextLoader.add_constructor(f"tag:yaml.org,2002:{_tag}", _text)


def construct(node: yaml.Node | None, loader: type[yaml.SafeLoader] = yaml.SafeLoader) -> Any:
    """Return the plain values of the nodes that `compose` returned. Raise YAMLFileError."""
    try:
        return None if node is None else loader("").construct_document(node)
    except yaml.MarkedYAMLError as error:
        raise _not_yaml(error) from error
    except ValueError as error:  # for example a date such as 2026-99-99
        raise YAMLFileError(f"it is not YAML: {error}") from error


def _not_yaml(error: yaml.MarkedYAMLError) -> YAMLFileError:
    mark = error.problem_mark or error.context_mark
    remedy = "indent with spaces, not with tabs" if "'\\t'" in str(error.problem) else ""
    return YAMLFileError(f"it is not YAML: {error.problem}", mark.line + 1 if mark else 0, remedy)


def _check(node: yaml.Node, sizes: dict[int, int]) -> int:
    """Count the nodes from `node` down, aliases expanded. `sizes` caches counts by id; 0 marks one in progress."""
    known = sizes.get(id(node))
    if known == 0:
        raise YAMLFileError("an alias refers to a node that contains it", line_of(node))
    if known:
        return known
    sizes[id(node)] = 0
    size = 1
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else None
            if name is not None and name in seen:
                raise YAMLFileError(f"{name!r} is given twice, first in line {seen[name]}", line_of(key))
            if name is not None:
                seen[name] = line_of(key)
            size += _check(key, sizes) + _check(value, sizes)
    elif isinstance(node, yaml.SequenceNode):
        size += sum(_check(item, sizes) for item in node.value)
    if size > MAX_NODES:
        raise YAMLFileError(f"it expands to more than {MAX_NODES} values", line_of(node))
    sizes[id(node)] = size
    return size
