"""The flags for novel binaries: where the catalogue is, how long it learns, what is read of programs."""

from __future__ import annotations

import argparse
from pathlib import Path

from exporter.config.argument_types import duration, number
from exporter.events.flags import add_record_flags

CATALOGUE_PATH = "/var/lib/exec_exporter/catalogue.db"


def add_novelty_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags to a parser, in groups."""
    novelty = parser.add_argument_group("novel binaries")
    novelty.add_argument(
        "--catalogue.path",
        dest="catalogue_path",
        metavar="FILE",
        type=absolute_file,
        default=CATALOGUE_PATH,
        help="what has been executed here before, kept over restarts; empty: nothing is found novel (default"
        " %(default)s)",
    )
    novelty.add_argument(
        "--catalogue.max-entries",
        dest="catalogue_entries",
        metavar="N",
        type=number(100, 10_000_000),
        default=50_000,
        help="programs to remember, 1 KiB each; those found are forgotten before those learnt (default %(default)s)",
    )
    novelty.add_argument(
        "--learning.duration",
        dest="learning_seconds",
        metavar="DURATION",
        type=duration(3650),
        default="24h",
        help="how long whatever is executed is learnt, such as 90m or 7d; only time in which it runs counts (default"
        " %(default)s)",
    )
    novelty.add_argument(
        "--learning.packages",
        dest="learning_packages",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="count programs of packages that are installed when learning ends as learnt, as long as they have the"
        " package's digest (default on)",
    )
    novelty.add_argument(
        "--content.hash",
        dest="content_hash",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="read programs that are new to take their SHA-256; keeps CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH if there"
        " (default on)",
    )
    novelty.add_argument(
        "--content.max-bytes",
        dest="content_bytes",
        metavar="N",
        type=number(0, 1 << 40),
        default=256 << 20,
        help="do not read larger files: their content is unknown (default %(default)s)",
    )
    novelty.add_argument(
        "--content.bytes-per-second",
        dest="content_rate",
        metavar="N",
        type=number(1 << 10, 1 << 40),
        default=64 << 20,
        help="read no more than that, after a burst of four seconds' worth (default %(default)s)",
    )
    novelty.add_argument(
        "--findings.accepted-file",
        dest="accepted_file",
        metavar="FILE",
        type=Path,
        help="YAML file of what is accepted on every host that has it; read again when it changes",
    )
    novelty.add_argument(
        "--findings.series",
        dest="findings_series",
        metavar="N",
        type=number(0, 10_000),
        default=100,
        help="show so many of the newest open findings as metrics (default %(default)s)",
    )
    novelty.add_argument(
        "--path.rootfs",
        dest="rootfs",
        metavar="DIRECTORY",
        type=absolute,
        default="/",
        help="where the host's root directory is mounted, for its programs and package database (default %(default)s)",
    )
    add_record_flags(parser)


def absolute(text: str) -> str:
    """A type of argument: an absolute path, or nothing."""
    if text and not text.startswith("/"):
        raise argparse.ArgumentTypeError(f"{text!r} is not an absolute path: it begins with /")
    return text


def absolute_file(text: str) -> str:
    """A type of argument: the absolute path of a file, or nothing."""
    if text.endswith("/"):
        raise argparse.ArgumentTypeError(f"{text!r} is a directory: give a file in it")
    return absolute(text)
