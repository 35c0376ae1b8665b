"""--collector.arguments: histograms by format of the program."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from exporter.compiler.ctypes_layout import u64_reader
from exporter.metrics import definitions
from exporter.metrics.definitions import MS_PER_SECOND
from exporter.metrics.family import HistogramRows, RowFamily
from exporter.probe.exec_header import FORMATS
from exporter.probe.probe import Probe

# In the order of exec.h's enum, and the unit that each sum is in.
HISTOGRAMS = (
    (definitions.ARGUMENTS, 1),
    (definitions.ARGUMENTS_BYTES, 1),
    (definitions.ENVIRONMENT_BYTES, 1),
    (definitions.BINARY_AGE, MS_PER_SECOND),
)
WORD = 1 << 64


class FormatHistograms:
    """Histograms by format. The kernel's sums may wrap around: here their differences are added up."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._numbers = u64_reader(probe.structs["histograms"], "sums", "buckets")
        self._before: Counter[tuple[str, int]] = Counter()
        self._sums: Counter[tuple[str, int]] = Counter()

    def collect(self) -> Iterator[RowFamily]:
        """Yield all histograms."""
        raw = dict(zip(FORMATS, self._probe.histograms(), strict=True))
        words = {name: list(map(sum, zip(*map(self._numbers, cpus), strict=True))) for name, cpus in raw.items()}
        for number, (metric, unit) in enumerate(HISTOGRAMS):
            rows = {}
            for name, counted in words.items():
                sums, buckets = counted[: len(HISTOGRAMS)], counted[len(HISTOGRAMS) :]
                first = number * len(buckets) // len(HISTOGRAMS)
                total = self._sum((name, number), sums[number])
                rows[name,] = (*buckets[first:][: len(metric.bounds) + 1], total / unit if unit > 1 else total)
            yield HistogramRows(metric, rows)

    def _sum(self, place: tuple[str, int], total: int) -> int:
        self._sums[place] += (total - self._before[place]) % WORD
        self._before[place] = total
        return self._sums[place]
