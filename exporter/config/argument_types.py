"""Parser of all commands, and types of arguments whose errors name the accepted values."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from exporter.config import duration as durations
from exporter.errors import USAGE, ExporterError


class Parser(argparse.ArgumentParser):
    """Raise ExporterError where argparse prints its usage and exits."""

    def error(self, message: str) -> NoReturn:
        """Raise the message in one line, with the help to read."""
        raise ExporterError(message, f"see {self.prog} --help", status=USAGE)


def number(least: int, most: int) -> Callable[[str], int]:
    """Return a type of argument: a decimal number in this range, ends included."""

    def parse(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from {least} to {most}")
        return int(text)

    return parse


def power_of_two(most: int) -> Callable[[str], int]:
    """Return a type of argument: 1, 2, 4, 8 and so on."""

    def parse(text: str) -> int:
        found = number(1, most)(text)
        if found & (found - 1):
            raise argparse.ArgumentTypeError(f"{text} is not a power of two")
        return found

    return parse


def duration(most_days: int) -> Callable[[str], float]:
    """Return a type of argument: a duration of 0 or more in the notation of Prometheus; its value is in seconds."""
    most_seconds = most_days * durations.PROMETHEUS["d"]

    def parse(text: str) -> float:
        try:
            found = durations.seconds(text, durations.PROMETHEUS)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{error} such as 90s, 1h30m or 1d, or 0") from error
        if found > most_seconds:
            raise argparse.ArgumentTypeError(f"{text} is longer than {most_days}d")
        return found

    return parse


def boolean(text: str) -> bool:
    """Parse the value of a switch in the environment or in a file: true, false, 1 or 0."""
    try:
        return {"true": True, "1": True, "false": False, "0": False}[text.lower()]
    except KeyError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false") from error


def absolute(text: str) -> str:
    """Parse an absolute path; empty is allowed."""
    if text and not text.startswith("/"):
        raise argparse.ArgumentTypeError(f"{text!r} is not an absolute path: start it with /")
    return text


def absolute_file(text: str) -> str:
    """Parse the absolute path of a file; empty is allowed."""
    if text.endswith("/"):
        raise argparse.ArgumentTypeError(f"{text!r} is a directory: give a file in it")
    return absolute(text)


def root_directory(text: str) -> str:
    """Parse the absolute path of a directory that serves as root; empty stands for /."""
    return absolute(text) or "/"


def optional_file(text: str) -> Path | None:
    """Parse the path of a file; empty stands for none."""
    return Path(text) if text else None
