"""Families of many samples, which are kept as plain numbers until somebody asks for samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client.core import Metric as ClientFamily
from prometheus_client.samples import Sample

from exporter.metrics import Metric


@dataclass(frozen=True)
class Table:
    """A family of one sample per label set; `rows` are values by tuples of label values, in the order of its labels.

    To prometheus_client it looks like one of its own families. Rendering reads the rows: 10,000 Samples cost more
    to make than all the rest of a scrape.
    """

    metric: Metric
    rows: Mapping[Any, float]
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
        """`counter` or `gauge`."""
        return self.metric.type

    @property
    def samples(self) -> list[Sample]:
        """The rows as samples."""
        name, labels = self.metric.name, self.metric.labels
        return [Sample(name, dict(zip(labels, values, strict=True)), value) for values, value in self.rows.items()]


AnyFamily = ClientFamily | Table
