"""Families of many samples, which are kept as plain numbers until somebody asks for samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from prometheus_client.core import Metric as ClientFamily
from prometheus_client.samples import Sample
from prometheus_client.utils import INF, floatToGoString

from exporter.metrics.definitions import Metric


@dataclass(frozen=True)
class RowFamily:
    """A family of one sample per label set; `rows` are values by tuples of label values, in the order of its labels.

    To prometheus_client it looks like one of its own families. Rendering reads the rows: 10,000 Samples cost more
    to make than all the rest of a scrape.
    """

    metric: Metric
    rows: Mapping[Any, Any]
    unit: str = ""

    @property
    def name(self) -> str:
        """The family's name: a counter's is without its `_total`."""
        return self.metric.name.removesuffix("_total") if self.type == "counter" else self.metric.name

    @property
    def documentation(self) -> str:
        """The help text."""
        return self.metric.help

    @property
    def type(self) -> str:
        """`counter`, `gauge` or `histogram`."""
        return self.metric.type

    def points(self, value: Any) -> Sequence[float]:
        """The values of the samples that a row has."""
        return (value,)

    @property
    def samples(self) -> list[Sample]:
        """The rows as samples."""
        name, labels = self.metric.name, self.metric.labels
        return [Sample(name, dict(zip(labels, values, strict=True)), value) for values, value in self.rows.items()]


@dataclass(frozen=True)
class HistogramRows(RowFamily):
    """A family of histograms: the value of a row is the number in each of its buckets, and then the sum."""

    def points(self, value: Any) -> Sequence[float]:
        """The number up to each bound, the number of all, and the sum."""
        *buckets, total = value
        up_to = list(accumulate(buckets))
        return [*up_to, up_to[-1], total]

    @property
    def samples(self) -> list[Sample]:
        """The rows as samples, as HistogramMetricFamily has them."""
        name, bounds = self.metric.name, [floatToGoString(bound) for bound in (*self.metric.bounds, INF)]  # type: ignore[no-untyped-call]
        found = []
        for values, row in self.rows.items():
            labels = dict(zip(self.metric.labels, values, strict=True))
            *up_to, count, total = self.points(row)
            found += [
                Sample(f"{name}_bucket", {**labels, "le": bound}, value)
                for bound, value in zip(bounds, up_to, strict=True)
            ]
            found += [Sample(f"{name}_count", labels, count), Sample(f"{name}_sum", labels, total)]
        return found


AnyFamily = ClientFamily | RowFamily
