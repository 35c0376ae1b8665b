"""Resolve the value of each flag: command line, else environment, else configuration file, else default.

Everything is derived from the parser: a new flag works in all of them.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from exporter.config.argument_types import boolean
from exporter.errors import USAGE, ExporterError

CONFIG_FILE = "config.file"


class Setting(NamedTuple):
    """A value and its origin, as error messages name it: a flag, a variable, or a line of a file."""

    value: Any
    origin: str


Settings = Mapping[str, Setting]  # by name of the flag


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Append the environment variable to the help of each flag."""

    def _get_help_string(self, action: argparse.Action) -> str:
        shown = f" [{variable(self._prog, name(action))}]" if is_flag(action) else ""
        return f"{action.help or ''}{shown}".strip()


def is_flag(action: argparse.Action) -> bool:
    """Return True for a named argument with a value: not for --help, --version and positional arguments."""
    return bool(action.option_strings) and action.default is not argparse.SUPPRESS


def name(action: argparse.Action) -> str:
    """Return `log.level` for --log.level."""
    return next(one for one in action.option_strings if one.startswith("--"))[2:]


def flags(parser: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    """Return the flags that have a value, by name."""
    return {name(action): action for action in parser._actions if is_flag(action)}


def variable(program: str, flag: str) -> str:
    """Return the environment variable of a flag: EXEC_EXPORTER_LOG_LEVEL, EXEC_EXPORTER_TRACE_FORMAT."""
    return re.sub(r"[^A-Z0-9]", "_", f"{program} {flag}".upper())


def repeatable(action: argparse.Action) -> bool:
    """Return True if the flag may be given more than once."""
    return isinstance(action, argparse._AppendAction)


def value_of(action: argparse.Action, text: str) -> Any:
    """Parse the text of a flag's value. Raise ValueError with a message for the user."""
    parse = boolean if action.nargs == 0 else action.type
    try:
        found = parse(text) if callable(parse) else text
    except (argparse.ArgumentTypeError, ValueError) as error:
        raise ValueError(str(error)) from error
    if action.choices and found not in action.choices:
        raise ValueError(f"{text!r} is none of {', '.join(map(str, action.choices))}")
    return found


def from_environment(parser: argparse.ArgumentParser, environment: Mapping[str, str]) -> dict[str, Setting]:
    """Return the flags set by environment variables; empty variables are ignored. Raise ExporterError."""
    found = {}
    for flag, action in flags(parser).items():
        origin = variable(parser.prog, flag)
        text = environment.get(origin, "")
        if not text:
            continue
        try:
            if repeatable(action):
                value: Any = [value_of(action, part.strip()) for part in text.split(",")]
            else:
                value = value_of(action, text)
        except ValueError as error:
            raise ExporterError(f"{origin}: {error}", f"see {parser.prog} --help", status=USAGE) from error
        found[flag] = Setting(value, origin)
    return found


def resolve(
    parser: argparse.ArgumentParser,
    arguments: list[str],
    environment: Mapping[str, str],
    file: Callable[[Setting], Settings] = lambda _: {},
) -> tuple[argparse.Namespace, dict[str, str]]:
    """Return the values of all flags, and by name of the flag the origins of those not at their defaults.

    `file` reads the file that --config.file names. Raise ExporterError.
    """
    known = flags(parser)
    values = parser.parse_args(arguments, argparse.Namespace(**{action.dest: None for action in known.values()}))
    given: dict[str, Setting] = {
        flag: Setting(getattr(values, action.dest), f"--{flag}")
        for flag, action in known.items()
        if getattr(values, action.dest) is not None
    }
    given = {**from_environment(parser, environment), **given}
    if CONFIG_FILE in given:
        given = {**file(given[CONFIG_FILE]), **given}
    for flag, action in known.items():
        value = given[flag].value if flag in given else action.default
        if flag not in given and isinstance(value, str):
            value = value_of(action, value)
        setattr(values, action.dest, value)
    return values, {flag: setting.origin for flag, setting in given.items()}
