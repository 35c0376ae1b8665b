"""What the probe counts by numbers alone: forks, failed executions, and the histograms by format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from exporter import errors, metrics
from exporter.event import FORMATS
from exporter.metrics import MS_PER_SECOND
from exporter.script_hook import HookError
from exporter.source import Source
from exporter.table import Histograms, Table
from exporter.values import numbers

# In the order of event.h's enum, and the unit that each sum is in.
HISTOGRAMS = (
    (metrics.ARGUMENTS, 1),
    (metrics.ARGUMENTS_BYTES, 1),
    (metrics.ENVIRONMENT_BYTES, 1),
    (metrics.BINARY_AGE, MS_PER_SECOND),
)
WORD = 1 << 64


def forks(source: Source) -> Iterator[Table]:
    """Processes and threads started."""
    counters = source.counters()
    counts = {(task,): counters[f"COUNTER_FORKS_{task.upper()}"] for task in metrics.FORKS.values["task"]}
    yield Table(metrics.FORKS, counts)


def failures(source: Source) -> Iterator[Table]:
    """Failed executions. Raises HookError where nothing sees them."""
    if not source.failure_hook.kind:
        raise HookError(f"failed executions cannot be seen here: {'; '.join(source.failure_hook.refused)}")
    counts = Counter(dict.fromkeys((*errors.ERRORS, errors.OTHER), 0))
    for number, count in source.failures().items():
        counts[errors.name(number)] += count
    yield Table(metrics.FAILURES, {(error,): count for error, count in counts.items()})


class FormatHistograms:
    """The histograms by format. The kernel's sums may go round: their differences are added up here."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._numbers = numbers(source.structs["histograms"], "buckets", "sum")
        self._before: Counter[tuple[int, int]] = Counter()
        self._sums: Counter[tuple[int, int]] = Counter()

    def collect(self) -> Iterator[Table]:
        """All of them."""
        raw = self._source.histograms()
        for number, (metric, unit) in enumerate(HISTOGRAMS):
            rows = {}
            for index, format_name in enumerate(FORMATS):
                *buckets, total = self._added_up((number, index), raw[number * len(FORMATS) + index])
                rows[format_name,] = (*buckets[: len(metric.bounds) + 1], total / unit if unit > 1 else total)
            yield Histograms(metric, rows)

    def _added_up(self, place: tuple[int, int], cpus: list[bytes]) -> list[int]:
        *buckets, total = (sum(column) for column in zip(*map(self._numbers, cpus), strict=True))
        self._sums[place] += (total - self._before[place]) % WORD
        self._before[place] = total
        return [*buckets, self._sums[place]]
