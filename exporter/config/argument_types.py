"""What the commands' parsers have in common: one line for what is wrong, and types that say what they take."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import NoReturn

from exporter.config import duration as durations
from exporter.errors import USAGE, ExporterError


class Parser(argparse.ArgumentParser):
    """Raises ExporterError where argparse prints a page and ends."""

    def error(self, message: str) -> NoReturn:
        """One line, and where to read on."""
        raise ExporterError(message, f"see {self.prog} --help", status=USAGE)


def number(least: int, most: int) -> Callable[[str], int]:
    """A type of argument: a decimal number between two others."""

    def parse(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from {least} to {most}")
        return int(text)

    return parse


def power_of_two(most: int) -> Callable[[str], int]:
    """A type of argument: 1, 2, 4, 8 and so on."""

    def parse(text: str) -> int:
        found = number(1, most)(text)
        if found & (found - 1):
            raise argparse.ArgumentTypeError(f"{text} is not a power of two")
        return found

    return parse


def duration(most_days: int) -> Callable[[str], float]:
    """A type of argument: a duration from 0 on, as Go and Prometheus write it, in seconds."""
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
    """A type of argument: what switches a flag on or off elsewhere than on the command line."""
    try:
        return {"true": True, "1": True, "false": False, "0": False}[text.lower()]
    except KeyError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false") from error
