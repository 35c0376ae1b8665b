"""The exposition as bytes: the output of prometheus_client's generate_latest at a tenth of its cost.

generate_latest renders all families but RowFamily, and each label set of a RowFamily once. The renderer caches the text
before each value and afterwards writes only the values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from prometheus_client import generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from exporter.metrics.family import AnyFamily, RowFamily

EXACT = 1_000_000  # generate_latest writes larger integers with an exponent


@dataclass(frozen=True)
class Format:
    """A text format: encoder and final line."""

    encode: Callable[[Collector], bytes]
    end: str = ""


TEXT = Format(generate_latest)
OPENMETRICS = Format(openmetrics.generate_latest, "# EOF\n")
FORMATS = (TEXT, OPENMETRICS)


class _Families(Collector):
    """A registry of fixed families, for generate_latest."""

    def __init__(self, *families: AnyFamily) -> None:
        self._families = families

    def collect(self) -> Iterable[AnyFamily]:  # type: ignore[override] # a RowFamily has the interface of a family
        return self._families


class Renderer:
    """Renders families in one format. Not thread-safe: one caller at a time."""

    def __init__(self, text_format: Format) -> None:
        self._format = text_format
        self._prefixes: dict[str, dict[Any, list[str]]] = {}

    def render(self, families: Iterable[AnyFamily]) -> bytes:
        """Return the exposition, byte for byte as generate_latest would write it."""
        parts = []
        for family in families:
            if isinstance(family, RowFamily):
                parts.append(self._encode(replace(family, rows={})))
                parts += self._lines(family)
            else:
                parts.append(self._encode(family))
        parts.append(self._format.end)
        return "".join(parts).encode()

    def _encode(self, family: AnyFamily) -> str:
        return self._format.encode(_Families(family)).decode().removesuffix(self._format.end)

    def _lines(self, table: RowFamily) -> list[str]:
        prefixes = self._prefixes_of(table)
        return [
            f"{prefix}{value}.0\n" if type(value) is int and 0 <= value < EXACT else f"{prefix}{_go(value)}\n"
            for labels, row in table.rows.items()
            for prefix, value in zip(prefixes[labels], table.points(row), strict=True)
        ]

    def _prefixes_of(self, table: RowFamily) -> Mapping[Any, list[str]]:
        """Return the text before each value of each row. Drop those of removed rows once they are the majority."""
        prefixes = self._prefixes.setdefault(table.metric.name, {})
        new = {labels: row for labels, row in table.rows.items() if labels not in prefixes}
        if new:
            each = len(table.points(next(iter(new.values()))))
            lines = self._encode(replace(table, rows=new)).removesuffix("\n").split("\n")[-each * len(new) :]
            texts = [line.rpartition(" ")[0] + " " for line in lines]
            prefixes.update({labels: texts[each * index : each * (index + 1)] for index, labels in enumerate(new)})
        if len(prefixes) > 2 * len(table.rows):
            prefixes = {labels: prefixes[labels] for labels in table.rows}
            self._prefixes[table.metric.name] = prefixes
        return prefixes


def _go(value: float) -> str:
    return str(floatToGoString(value))  # type: ignore[no-untyped-call]
