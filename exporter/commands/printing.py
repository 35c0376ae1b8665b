"""Output of the subcommands: tables, times, and readers that stop reading early."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from exporter.escape import escape


@contextmanager
def until_reader_stops() -> Iterator[None]:
    """Flush standard output after the block; end the block quietly if the reader has closed it, as `head` does."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # Python would report the error again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_table(rows: Iterable[tuple[str, ...]]) -> None:
    """Print rows with aligned columns; all rows have the same number of cells."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        sys.stdout.write("  ".join(cells).rstrip() + "\n")


def plain(text: str) -> str:
    """Escape text from people and files like label values: a terminal obeys nothing in it."""
    return escape(text.encode("utf-8", "surrogateescape"))


def utc(seconds: float) -> str:
    """Format seconds since the epoch; the bare number where no date has that time."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return str(seconds)
