"""Output of the subcommands: tables and times."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import UTC, datetime

from exporter.escape import escape


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
