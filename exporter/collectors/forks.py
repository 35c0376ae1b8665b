"""--collector.forks: processes and threads started."""

from __future__ import annotations

from collections.abc import Iterator

from exporter.collectors.reader import ProbeReader
from exporter.metrics import definitions
from exporter.metrics.family import RowFamily


def forks(source: ProbeReader) -> Iterator[RowFamily]:
    """Yield processes and threads started."""
    counters = source.counters()
    counts = {(task,): counters[f"COUNTER_FORKS_{task.upper()}"] for task in definitions.FORKS.values["task"]}
    yield RowFamily(definitions.FORKS, counts)
