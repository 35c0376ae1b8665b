"""Metric families that hold plain numbers and create samples only on demand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from prometheus_client.core import HistogramMetricFamily
from prometheus_client.core import Metric as ClientFamily
from prometheus_client.samples import Sample
from prometheus_client.utils import INF, floatToGoString

from exporter.metrics.definitions import Metric


@dataclass(frozen=True)
class RowFamily:
    """A family with one sample per label set: `rows` maps tuples of label values, in the metric's order, to values.

    `created` has the Unix time at which rows were 0, for counters and histograms, where it is known.

    It has the interface of a prometheus_client family. The renderer reads the rows directly, because creating 10,000
    Sample objects takes longer than the rest of a scrape.
    """

    metric: Metric
    rows: Mapping[Any, Any]
    created: Mapping[Any, float] = field(default_factory=dict)
    unit: str = ""

    @property
    def name(self) -> str:
        """Name of the family: for a counter, without `_total`."""
        return self.metric.name.removesuffix("_total") if self.type == "counter" else self.metric.name

    @property
    def documentation(self) -> str:
        """Help text."""
        return self.metric.help

    @property
    def type(self) -> str:
        """Type: `counter`, `gauge` or `histogram`."""
        return self.metric.type

    def points(self, value: Any) -> Sequence[float]:
        """Return the sample values of a row."""
        return (value,)

    @property
    def samples(self) -> list[Sample]:
        """Samples of all rows."""
        family = self.metric.family()
        for values, value in self.rows.items():
            family.add_metric(values, value)
        return family.samples


@dataclass(frozen=True)
class HistogramRows(RowFamily):
    """A family of histograms: a row holds the count of each bucket, not cumulative, followed by the sum."""

    def points(self, value: Any) -> Sequence[float]:
        """Return the cumulative count of each bucket, the total count and the sum."""
        *buckets, total = value
        up_to = list(accumulate(buckets))
        return [*up_to, up_to[-1], total]

    @property
    def samples(self) -> list[Sample]:
        """Samples of all rows."""
        family = HistogramMetricFamily(self.name, self.documentation, labels=self.metric.labels)
        bounds = [floatToGoString(bound) for bound in (*self.metric.bounds, INF)]  # type: ignore[no-untyped-call]
        for values, row in self.rows.items():
            *up_to, _, total = self.points(row)
            family.add_metric(values, list(zip(bounds, up_to, strict=True)), total)
        return family.samples


AnyFamily = ClientFamily | RowFamily
