"""The file of --config.file: flags by name, dots as nested keys, and path rules, which have no flag."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import yaml

from exporter.config import yaml_file
from exporter.config.resolve import CONFIG_FILE, Setting, flags, repeatable, value_of
from exporter.config.yaml_file import YAMLFileError, line_of
from exporter.metrics.path_presets import PRESETS
from exporter.metrics.path_rules import PathRules, Rule, rule

COMMAND_LINE_ONLY = frozenset({"help", "version", "check", "once", "config.check", CONFIG_FILE})
PATHS = ("paths.presets", "paths.rules", "paths.include", "paths.exclude")
SCALARS = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "timestamp"))
NULL = "tag:yaml.org,2002:null"
Entries = dict[str, tuple[yaml.Node, yaml.Node]]
T = TypeVar("T")


@dataclass(frozen=True)
class Config:
    """Settings of flags by name, and the path rules."""

    settings: dict[str, Setting] = field(default_factory=dict)
    path_rules: PathRules = field(default_factory=PathRules)


def read(file: Setting, parser: argparse.ArgumentParser) -> Config:
    """Read and check a file for the flags of `parser`. Raise ExporterError, with the line and the key."""
    path: Path = file.value
    try:
        return _parse(yaml_file.read(path), path, parser)
    except YAMLFileError as error:
        raise error.refusal(path, file.origin) from error


def _parse(text: str, path: Path, parser: argparse.ArgumentParser) -> Config:
    known = {flag: action for flag, action in flags(parser).items() if flag not in COMMAND_LINE_ONLY}
    entries: Entries = {}
    root = yaml_file.compose(text)
    if root is not None and not _empty(root):
        _collect(root, "", (*known, *PATHS), entries)
    settings = {
        name: Setting(_value(known[name], name, value, path.parent), f"{path}:{line_of(key)}: {name}")
        for name, (key, value) in entries.items()
        if name in known
    }
    return Config(settings, _path_rules(entries))


def _collect(node: yaml.Node, prefix: str, names: tuple[str, ...], entries: Entries) -> None:
    """Add the keys below `node` and their values to `entries`; the keys of sections are joined by dots."""
    if not isinstance(node, yaml.MappingNode):
        what = f"{prefix.removesuffix('.')} is" if prefix else "it is"
        raise YAMLFileError(f"{what} not a mapping of keys to values", line_of(node))
    for key, value in node.value:
        name = prefix + (key.value if isinstance(key, yaml.ScalarNode) else "?")
        section = any(one.startswith(f"{name}.") for one in names)
        if section and isinstance(value, yaml.MappingNode):
            _collect(value, f"{name}.", names, entries)
        elif name in names:
            if name in entries:
                raise YAMLFileError(f"{name} is given twice, first in line {line_of(entries[name][0])}", line_of(key))
            if _empty(value):
                raise YAMLFileError(f"{name} has no value", line_of(key), "give one or remove the line")
            entries[name] = key, value
        elif section:
            if not _empty(value):
                raise YAMLFileError(f"{name} is not a mapping of keys to values", line_of(value))
        elif name in COMMAND_LINE_ONLY:
            raise YAMLFileError(f"{name} cannot be set in a file", line_of(key), f"give --{name} as a flag")
        else:
            raise YAMLFileError(f"unknown key {name!r}", line_of(key), _nearest(name, names))


def _nearest(name: str, names: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(name, names, 1) or [one for one in names if one.split(".")[-1] == name][:1]
    return f"did you mean {near[0]}?" if near else ""


def _empty(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == NULL


def _value(action: argparse.Action, name: str, node: yaml.Node, directory: Path) -> object:
    """Parse the value of a flag. Relative file names are relative to the directory of the configuration file."""

    def one(item: yaml.Node, name: str) -> object:
        text = _text(item, name)
        value = _checked(partial(value_of, action, text), name, item)
        return directory / value if isinstance(value, Path) else value

    return [one(item, of) for of, item in _items(node, name)] if repeatable(action) else one(node, name)


def _path_rules(entries: Entries) -> PathRules:
    def listed(name: str) -> Iterator[tuple[str, yaml.Node]]:
        return _items(entries[name][1], name) if name in entries else iter(())

    rules: list[Rule] = []
    for name, item in listed("paths.presets"):
        preset = _text(item, name)
        if preset not in PRESETS:
            raise YAMLFileError(f"{name}: {preset!r} is none of {', '.join(PRESETS)}", line_of(item))
        rules += [_checked(partial(rule, *texts), name, item) for texts in PRESETS[preset]]
    for name, item in listed("paths.rules"):
        keys: Entries = {}
        needed = f"{name}.match", f"{name}.replace"
        _collect(item, f"{name}.", needed, keys)
        for key in needed:
            if key not in keys:
                raise YAMLFileError(f"{key} is missing", line_of(item))
        match, replace = (_text(keys[key][1], key) for key in needed)
        rules.append(_checked(partial(rule, match, replace), name, item))
    include, exclude = (
        [_text(item, name) for name, item in listed(globs)] for globs in ("paths.include", "paths.exclude")
    )
    return PathRules(rules, include, exclude)


def _items(node: yaml.Node, name: str) -> Iterator[tuple[str, yaml.Node]]:
    """Yield the items of a list, each with its name such as `paths.rules[0]`; a scalar counts as one item."""
    if isinstance(node, yaml.SequenceNode):
        yield from ((f"{name}[{at}]", item) for at, item in enumerate(node.value))
    else:
        yield name, node


def _text(node: yaml.Node, name: str) -> str:
    """Return a scalar as written. Raise YAMLFileError."""
    if not isinstance(node, yaml.ScalarNode) or node.tag not in SCALARS:
        kind = "not a plain value" if isinstance(node, yaml.ScalarNode) else "a list or a mapping"
        raise YAMLFileError(f"{name} is {kind}", line_of(node), "give one value")
    if not node.value.isprintable():
        raise YAMLFileError(f"{name} has an unprintable character", line_of(node), "remove it")
    return str(node.value)


def _checked(make: Callable[[], T], name: str, node: yaml.Node) -> T:
    try:
        return make()
    except ValueError as error:
        raise YAMLFileError(f"{name}: {error}", line_of(node)) from error
