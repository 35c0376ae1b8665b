"""Options as dataclasses whose fields declare their flags."""

from __future__ import annotations

import argparse
from dataclasses import field, fields
from typing import Any, TypeVar

from exporter.config.argument_types import optional_file

T = TypeVar("T")


def flag(name: str, text: str, default: Any = None, **how: Any) -> Any:
    """Return a dataclass field that the flag `name` sets. `text` is its help, `how` goes to add_argument.

    A boolean default makes a switch: False one to turn on, True one to turn on or off.
    """
    if isinstance(default, bool):
        how["action"] = argparse.BooleanOptionalAction if default else "store_true"
    elif "type" in how:
        how.setdefault("metavar", "FILE" if how["type"] is optional_file else "N")
    if default and "(default" not in text:
        text += " (default on)" if default is True else " (default %(default)s)"
    return field(default=default, metadata={"flag": name, "help": text, "default": default, **how})


def add_flag(parser: argparse._ActionsContainer, kind: Any, name: str, **changes: Any) -> None:
    """Add the flag of the field `name` of a dataclass, with `changes` of its arguments."""
    how = {**kind.__dataclass_fields__[name].metadata, **changes}
    parser.add_argument(how.pop("flag"), **how)


def add_flags(parser: argparse.ArgumentParser, title: str, *kinds: Any, text: str | None = None) -> None:
    """Add the flags of all fields of dataclasses, in a group."""
    group = parser.add_argument_group(title, text)
    for kind in kinds:
        for name in _flags(kind):
            add_flag(group, kind, name)


def options_of(kind: type[T], values: argparse.Namespace, **others: Any) -> T:
    """Return a dataclass of the values of its flags; fields whose flags were not added have their defaults."""
    given = {name: getattr(values, to) for name, to in _flags(kind).items() if hasattr(values, to)}
    lists = {name: tuple(value) for name, value in given.items() if isinstance(value, list)}
    return kind(**{**given, **lists, **others})


def _flags(kind: Any) -> dict[str, str]:
    """Return the attributes that argparse chooses for flags, such as `web.idle_timeout`, by name of the field."""
    flags = {one.name: one.metadata["flag"] for one in fields(kind) if one.metadata}
    return {name: flag.removeprefix("--").replace("-", "_") for name, flag in flags.items()}
