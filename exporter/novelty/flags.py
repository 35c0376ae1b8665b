"""Flags for novel binaries: catalogue, learning, contents of programs, findings."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from exporter.config.argument_types import absolute, absolute_file, duration, number
from exporter.config.resolve import section

CATALOGUE_PATH = "/var/lib/exec_exporter/catalogue.db"


@dataclass(frozen=True)
class NoveltyOptions:
    """How to find novel binaries; an empty `catalogue_path` disables it."""

    catalogue_path: str
    catalogue_entries: int
    learning_seconds: float
    learning_packages: bool
    content_hash: bool
    content_bytes: int
    content_rate: int  # bytes per second
    accepted_file: Path | None
    findings_series: int
    rootfs: str


def add_novelty_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags to a parser, in a group."""
    novelty = parser.add_argument_group("novel binaries")
    novelty.add_argument(
        "--catalogue.path",
        dest="novelty.catalogue_path",
        metavar="FILE",
        type=absolute_file,
        default=CATALOGUE_PATH,
        help="SQLite file of the programs executed on this host; empty: do not detect novel binaries (default"
        " %(default)s)",
    )
    novelty.add_argument(
        "--catalogue.max-entries",
        dest="novelty.catalogue_entries",
        metavar="N",
        type=number(100, 10_000_000),
        default=50_000,
        help="maximum programs in the catalogue, about 1 KiB each; beyond it, found programs are forgotten before"
        " learnt ones (default %(default)s)",
    )
    novelty.add_argument(
        "--learning.duration",
        dest="novelty.learning_seconds",
        metavar="DURATION",
        type=duration(3650),
        default="24h",
        help="how long to learn every executed program, such as 90m or 7d; only time while the exporter runs counts"
        " (default %(default)s)",
    )
    novelty.add_argument(
        "--learning.packages",
        dest="novelty.learning_packages",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="treat programs of packages installed when learning ends as learnt while they match the package's digest"
        " (default on)",
    )
    novelty.add_argument(
        "--content.hash",
        dest="novelty.content_hash",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="hash new programs with SHA-256; keeps CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH if granted (default on)",
    )
    novelty.add_argument(
        "--content.max-bytes",
        dest="novelty.content_bytes",
        metavar="N",
        type=number(0, 1 << 40),
        default=256 << 20,
        help="maximum size of a file to hash; larger ones have unknown content (default %(default)s)",
    )
    novelty.add_argument(
        "--content.bytes-per-second",
        dest="novelty.content_rate",
        metavar="N",
        type=number(1 << 10, 1 << 40),
        default=64 << 20,
        help="maximum rate of reading files, after a burst of four seconds' worth (default %(default)s)",
    )
    novelty.add_argument(
        "--findings.accepted-file",
        dest="novelty.accepted_file",
        metavar="FILE",
        type=Path,
        help="YAML file of accepted findings, the same on all hosts; reloaded when it changes",
    )
    novelty.add_argument(
        "--findings.series",
        dest="novelty.findings_series",
        metavar="N",
        type=number(0, 10_000),
        default=100,
        help="maximum open findings to expose as metrics, newest first (default %(default)s)",
    )
    novelty.add_argument(
        "--path.rootfs",
        dest="novelty.rootfs",
        metavar="DIRECTORY",
        type=absolute,
        default="/",
        help="directory where the host's root is mounted, to read its programs and package database (default"
        " %(default)s)",
    )


def novelty_options(values: argparse.Namespace) -> NoveltyOptions:
    """Return the values of the flags."""
    return NoveltyOptions(**section(values, "novelty"))
