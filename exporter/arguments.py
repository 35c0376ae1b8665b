"""What the commands' parsers have in common: one line for what is wrong, and types that say what they take."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import NoReturn

from exporter.refusal import USAGE, Refusal


class Parser(argparse.ArgumentParser):
    """Raises Refusal where argparse prints a page and ends."""

    def error(self, message: str) -> NoReturn:
        """One line, and where to read on."""
        raise Refusal(message, f"see {self.prog} --help", status=USAGE)


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
