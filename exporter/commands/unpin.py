"""`exec_exporter unpin`: detach the pinned probe, which counts while no exporter runs."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from exporter.config.argument_types import Parser
from exporter.config.options import add_flag, options_of
from exporter.config.resolve import Formatter, resolve
from exporter.errors import USAGE, ExporterError
from exporter.kernel.bpffs import Pins, PinsUnavailable
from exporter.probe.flags import PinOptions


def parser() -> argparse.ArgumentParser:
    """Return the parser of all flags."""
    parser = Parser(
        prog="exec_exporter unpin",
        description="Detach the pinned probe and remove it with its counts. Prints what was removed.",
        formatter_class=Formatter,
        allow_abbrev=False,
    )
    help_text = "directory in a bpffs where the exporter pins the probe (default %(default)s)"
    add_flag(parser, PinOptions, "path", help=help_text)
    return parser


def run(arguments: list[str], environment: Mapping[str, str] = os.environ) -> None:
    """Run the command. Raise ExporterError."""
    values, _ = resolve(parser(), arguments, environment)
    path = Path(options_of(PinOptions, values).path)
    if not path.is_dir():
        print(f"nothing is pinned in {path}")
        return
    try:
        with closing(Pins(path, make=False)) as pins:
            found, foreign = pins.contents(), pins.foreign()
            pins.remove_all()
            pins.remove_directory()
    except PinsUnavailable as error:
        raise ExporterError(f"{error}", "name the directory with --bpf.pin-path", status=USAGE) from error
    except OSError as error:
        raise ExporterError(
            f"cannot remove what is pinned in {path} ({error.strerror})", "run this as the owner of the directory"
        ) from error
    left = f"; left what others pinned: {', '.join(foreign)}" if foreign else ""
    print(f"removed from {path}: {found or 'nothing'}{left}")
