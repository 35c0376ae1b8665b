"""Where a flag has its value from: the command line, else the environment, else a file, else its default.

All of it is derived from the parser: a flag that is added there can be given everywhere.
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
    """A value, and what it was given by, as a message names it."""

    value: Any
    origin: str


Settings = Mapping[str, Setting]  # by name of the flag


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Help that says each flag's environment variable."""

    def _get_help_string(self, action: argparse.Action) -> str:
        shown = f" [{variable(self._prog, name(action))}]" if is_flag(action) else ""
        return f"{action.help or ''}{shown}".strip()


def is_flag(action: argparse.Action) -> bool:
    """Whether it has a value: --help and --version have none, and arguments in order have no name."""
    return bool(action.option_strings) and action.default is not argparse.SUPPRESS


def name(action: argparse.Action) -> str:
    """`log.level` for --log.level."""
    return next(one for one in action.option_strings if one.startswith("--"))[2:]


def flags(parser: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    """The flags that have a value, by name."""
    return {name(action): action for action in parser._actions if is_flag(action)}


def variable(program: str, flag: str) -> str:
    """The environment variable of a flag: EXEC_EXPORTER_LOG_LEVEL, EXEC_EXPORTER_TRACE_FORMAT."""
    return re.sub(r"[^A-Z0-9]", "_", f"{program} {flag}".upper())


def repeatable(action: argparse.Action) -> bool:
    """Whether the flag may be given more than once."""
    return isinstance(action, argparse._AppendAction)


def value_of(action: argparse.Action, text: str) -> Any:
    """What the flag makes of a text. Raises ValueError, in words for who gave it."""
    parse = boolean if action.nargs == 0 else action.type
    try:
        found = parse(text) if callable(parse) else text
    except (argparse.ArgumentTypeError, ValueError) as error:
        raise ValueError(str(error)) from error
    if action.choices and found not in action.choices:
        raise ValueError(f"{text!r} is none of {', '.join(map(str, action.choices))}")
    return found


def from_environment(parser: argparse.ArgumentParser, environment: Mapping[str, str]) -> dict[str, Setting]:
    """What the variables say. An empty one says nothing. Raises ExporterError."""
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


def settle(
    parser: argparse.ArgumentParser,
    arguments: list[str],
    environment: Mapping[str, str],
    file: Callable[[Setting], Settings] = lambda _: {},
) -> tuple[argparse.Namespace, dict[str, str]]:
    """The values of all flags, and what gave those that are not at their defaults, both by destination.

    `file` reads the file that --config.file names. Raises ExporterError.
    """
    known = flags(parser)
    options = parser.parse_args(arguments, argparse.Namespace(**{action.dest: None for action in known.values()}))
    given: dict[str, Setting] = {
        flag: Setting(getattr(options, action.dest), f"--{flag}")
        for flag, action in known.items()
        if getattr(options, action.dest) is not None
    }
    given = {**from_environment(parser, environment), **given}
    if CONFIG_FILE in given:
        given = {**file(given[CONFIG_FILE]), **given}
    for flag, action in known.items():
        value = given[flag].value if flag in given else action.default
        if flag not in given and isinstance(value, str):
            value = value_of(action, value)
        setattr(options, action.dest, value)
    return options, {known[flag].dest: setting.origin for flag, setting in given.items()}
