"""What collectors ask of the probe."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from typing import Protocol

from exporter.compiler.kernel_types import Feature
from exporter.probe.hooks import Hook


class ProbeReader(Protocol):
    """A probe. Maps go by the names that they have in bpf/exec.c: execs, processes, exits."""

    attached: bool
    bcc_version: str
    missing: tuple[Feature, ...]
    structs: dict[str, type[ctypes.Structure]]
    program_type: str
    script_hook: Hook
    failure_hook: Hook

    @property
    def pinned(self) -> bool:
        """Whether counting goes on when this process ends."""
        ...

    def map_id(self, name: str) -> int:
        """The kernel's id of a map, which no other has before the next boot."""
        ...

    def entries(self, name: str) -> Iterable[tuple[bytes, bytes]]:
        """Raw keys and values of a map. Raises OSError."""
        ...

    def take(self, name: str, key: bytes) -> bytes | None:
        """Removes an entry of a map and returns its value; None: there is none. Raises OSError."""
        ...

    def capacity(self, name: str) -> int:
        """Entries that a map can have."""
        ...

    def counters(self) -> dict[str, int]:
        """The probe's counters by name."""
        ...

    def histograms(self) -> list[list[bytes]]:
        """The raw histograms of each CPU, by format."""
        ...

    def failures(self) -> dict[int, int]:
        """Failed executions by errno; 0 for those that have no number there."""
        ...

    def run_seconds(self) -> dict[str, float]:
        """Time spent in each program, in seconds; those that are not attached are not there."""
        ...
