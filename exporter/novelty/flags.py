"""Flags for novel binaries: catalogue, learning, contents of programs, findings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from exporter.config.argument_types import absolute_file, duration, number, optional_file, root_directory
from exporter.config.options import flag

CATALOGUE_BYTES = 128 << 20
CATALOGUE_PATH = "/var/lib/exec_exporter/catalogue.db"


@dataclass(frozen=True)
class NoveltyOptions:
    """How to find novel binaries; an empty `catalogue_path` disables it."""

    catalogue_path: str = flag(
        "--catalogue.path",
        "SQLite file of the programs executed on this host; empty: do not detect novel binaries",
        CATALOGUE_PATH,
        type=absolute_file,
        metavar="FILE",
    )
    catalogue_entries: int = flag(
        "--catalogue.max-entries",
        "maximum programs in the catalogue, about 1 KiB each; beyond it, found programs are forgotten before learnt"
        " ones",
        50_000,
        type=number(100, 10_000_000),
    )
    catalogue_bytes: int = flag(
        "--catalogue.max-bytes",
        "maximum bytes of the catalogue, with a few MiB more in its write-ahead log; beyond it, the oldest programs and"
        " findings are forgotten, accepted findings before open ones",
        CATALOGUE_BYTES,
        type=number(1 << 20, 1 << 40),
    )
    learning_seconds: float = flag(
        "--learning.duration",
        "how long to learn every executed program, such as 90m or 7d; only time while the exporter runs counts"
        " (default 24h)",
        86_400.0,
        type=duration(3650),
        metavar="DURATION",
    )
    learning_packages: bool = flag(
        "--learning.packages",
        "treat programs of packages installed when learning ends as learnt while they match the package's digest",
        True,
    )
    content_hash: bool = flag(
        "--content.hash",
        "hash new programs with SHA-256; keeps CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH if granted",
        True,
    )
    content_bytes: int = flag(
        "--content.max-bytes",
        "maximum size of a file to hash, in bytes; larger ones have unknown content",
        256 << 20,
        type=number(0, 1 << 40),
    )
    content_rate: int = flag(
        "--content.bytes-per-second",
        "maximum bytes per second to read from files, after a burst of four seconds' worth",
        64 << 20,
        type=number(1 << 10, 1 << 40),
    )
    accepted_file: Path | None = flag(
        "--findings.accepted-file",
        "YAML file of accepted findings, the same on all hosts; reloaded when it changes",
        type=optional_file,
    )
    findings_series: int = flag(
        "--findings.series", "maximum open findings to expose as metrics, newest first", 100, type=number(0, 10_000)
    )
    rootfs: str = flag(
        "--path.rootfs",
        "directory where the host's root is mounted, to read its programs and package database",
        "/",
        type=root_directory,
        metavar="DIRECTORY",
    )
