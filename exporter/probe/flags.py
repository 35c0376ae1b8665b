"""Flags for the size of the probe's maps and for pinning."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from exporter.config.argument_types import number, power_of_two
from exporter.config.resolve import section

DEFAULT_PIN_PATH = "/sys/fs/bpf/exec_exporter"


@dataclass(frozen=True)
class ProbeOptions:
    """Sizes of the probe's maps, in entries, and of its ring buffer, in pages."""

    map_entries: int = 32768
    process_entries: int = 32768
    ring_buffer_pages: int = 256


@dataclass(frozen=True)
class PinOptions:
    """Where the probe is pinned (empty: nowhere), and what happens to the pins at the stop."""

    path: str
    unpin_on_stop: bool


def add_probe_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags to a parser, in a group."""
    probe = parser.add_argument_group("probe")
    probe.add_argument(
        "--bpf.map-entries",
        dest="probe.map_entries",
        metavar="N",
        type=number(1, 1 << 24),
        default=ProbeOptions.map_entries,
        help="maximum combinations of file, interpreter and standard input; each takes about 350 bytes of kernel"
        " memory, and 1.5 KiB in the exporter once in use (default %(default)s)",
    )
    probe.add_argument(
        "--bpf.process-entries",
        dest="probe.process_entries",
        metavar="N",
        type=number(1, 1 << 22),
        default=ProbeOptions.process_entries,
        help="maximum processes to follow; each takes about 80 bytes of kernel memory (default %(default)s)",
    )
    add_ring_buffer_pages(probe, ProbeOptions.ring_buffer_pages)
    add_pin_path(
        probe,
        "directory in a bpffs to pin the probe in, so that counting continues while the exporter restarts; empty: do"
        " not pin",
    )
    probe.add_argument(
        "--bpf.unpin-on-stop",
        dest="pin.unpin_on_stop",
        action="store_true",
        help="remove the pins at the stop, like exec_exporter unpin: counting ends",
    )


def add_ring_buffer_pages(parser: argparse._ActionsContainer, default: int) -> None:
    """Add the flag for the size of the ring buffer."""
    parser.add_argument(
        "--bpf.ring-buffer-pages",
        dest="probe.ring_buffer_pages",
        metavar="N",
        type=power_of_two(1 << 16),
        default=default,
        help="size of the ring buffer for records, in pages; a power of two (default %(default)s)",
    )


def add_pin_path(parser: argparse._ActionsContainer, what: str) -> None:
    """Add the flag for the directory of the pins."""
    parser.add_argument(
        "--bpf.pin-path",
        dest="pin.path",
        metavar="DIRECTORY",
        default=DEFAULT_PIN_PATH,
        help=f"{what} (default %(default)s)",
    )


def probe_options(values: argparse.Namespace) -> ProbeOptions:
    """Return the values of the flags for sizes."""
    return ProbeOptions(**section(values, "probe"))


def pin_options(values: argparse.Namespace) -> PinOptions:
    """Return the values of the flags for pinning."""
    return PinOptions(**section(values, "pin"))
