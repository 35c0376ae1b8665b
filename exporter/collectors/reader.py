"""The part of the probe that collectors read."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from typing import Protocol

from exporter.compiler.kernel_types import Feature
from exporter.probe.hooks import Hook


class ProbeReader(Protocol):
    """A probe. Its maps have their names in bpf/exec.c: execs, processes, exits. Methods raise OSError."""

    bcc_version: str
    missing: tuple[Feature, ...]
    structs: dict[str, type[ctypes.Structure]]
    program_type: str
    script_hook: Hook
    failure_hook: Hook

    @property
    def attached(self) -> bool:
        """True while executions are counted."""
        ...

    @property
    def pinned(self) -> bool:
        """True if counting continues when this process ends."""
        ...

    def map_id(self, name: str) -> int:
        """Return the kernel's id of a map, which no other map gets before the next boot."""
        ...

    def entries(self, name: str) -> Iterable[tuple[bytes, bytes]]:
        """Return the raw keys and values of a map."""
        ...

    def take(self, name: str, key: bytes) -> bytes | None:
        """Remove an entry of a map and return its value; None if there is none."""
        ...

    def capacity(self, name: str) -> int:
        """Return how many entries a map can have."""
        ...

    def counters(self) -> dict[str, int]:
        """Return the counters by their names in exec.h."""
        ...

    def histograms(self) -> list[list[bytes]]:
        """Return the raw histograms by format, each of several parts that are to be added."""
        ...

    def failures(self) -> dict[int, int]:
        """Return the failed executions by errno; 0 for an errno out of range."""
        ...

    def run_seconds(self) -> dict[str, float]:
        """Return the time spent in each program that is attached, in seconds."""
        ...
