"""Flags for the size of the probe's maps and for pinning."""

from __future__ import annotations

from dataclasses import dataclass

from exporter.config.argument_types import number, power_of_two
from exporter.config.options import flag


@dataclass(frozen=True)
class ProbeOptions:
    """Sizes of the probe's maps, in entries, and of its ring buffer, in pages, and where it is kept once compiled."""

    map_entries: int = flag(
        "--bpf.map-entries",
        "maximum combinations of file, interpreter and standard input; each takes about 350 bytes of kernel memory, and"
        " 1.5 KiB in the exporter once in use",
        32768,
        type=number(1, 1 << 24),
    )
    process_entries: int = flag(
        "--bpf.process-entries",
        "maximum processes to follow; each takes about 80 bytes of kernel memory",
        32768,
        type=number(1, 1 << 22),
    )
    ring_buffer_pages: int = flag(
        "--bpf.ring-buffer-pages",
        "size of the ring buffer for records, in pages; a power of two",
        256,
        type=power_of_two(1 << 16),
    )
    cache_path: str = flag(
        "--bpf.cache-path",
        "directory to keep the compiled probe in, so that later starts on the same kernel need neither BCC nor its time"
        " and memory; only root or this user may be able to write to it; empty: compile at each start",
        "/var/cache/exec_exporter",
        metavar="DIRECTORY",
    )


@dataclass(frozen=True)
class PinOptions:
    """The directory of the probe's pins (empty: no pins), and whether a stop removes them."""

    path: str = flag(
        "--bpf.pin-path",
        "directory in a bpffs to pin the probe in, so that counting continues while the exporter restarts; empty: do"
        " not pin",
        "/sys/fs/bpf/exec_exporter",
        metavar="DIRECTORY",
    )
    unpin_on_stop: bool = flag(
        "--bpf.unpin-on-stop", "remove the pins at the stop, like exec_exporter unpin: counting ends", False
    )
