"""--collector.forks: processes and threads started."""

from __future__ import annotations

from collections.abc import Iterator

from exporter.metrics import definitions
from exporter.metrics.family import RowFamily
from exporter.probe.probe import Probe


def forks(probe: Probe) -> Iterator[RowFamily]:
    """Yield processes and threads started."""
    counters = probe.counters()
    counts = {(task,): counters[f"COUNTER_FORKS_{task.upper()}"] for task in definitions.FORKS.values["task"]}
    yield RowFamily(definitions.FORKS, counts)
