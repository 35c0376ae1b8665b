"""Flags that say how the probe is compiled, sized and pinned."""

from __future__ import annotations

import argparse

DEFAULT = "/sys/fs/bpf/exec_exporter"


def add_pin_path(parser: argparse.ArgumentParser, what: str) -> None:
    """The flag that says where pins are."""
    parser.add_argument(
        "--bpf.pin-path", dest="pin_path", metavar="DIRECTORY", default=DEFAULT, help=f"{what} (default %(default)s)"
    )
