"""The tables of flags in docs/configuration.md: `python -m exporter.service.flags_markdown` writes them."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

from exporter.commands import trace, unpin
from exporter.config.resolve import flags, variable
from exporter.metrics.markdown import code, replace_section, table
from exporter.service import options

COLUMNS = "flag | environment variable | default | meaning"


def markdown() -> str:
    """Return one table of flags each for the service, `trace` and `unpin`."""
    parsers = options.parser(), trace.parser(), unpin.parser()
    return "\n".join(f"### {parser.prog}\n\n{table(COLUMNS, _rows(parser))}" for parser in parsers)


def _rows(parser: argparse.ArgumentParser) -> Iterator[list[str]]:
    for name, flag in flags(parser).items():
        help_text = (flag.help or "") % vars(flag)
        meaning, default, *_ = [*re.split(r" \(default:? (.*)\)$", help_text), ""]
        value = flag.metavar or "{" + ",".join(flag.choices or ()) + "}"
        shown = f"--{name}" if flag.nargs == 0 else f"--{name} {value}"
        cells = code([shown]), code([variable(parser.prog, name)]), code(default and [default]), meaning
        yield [cell.replace("|", r"\|") for cell in cells]


if __name__ == "__main__":
    replace_section(Path("docs/configuration.md"), "flags", markdown())
