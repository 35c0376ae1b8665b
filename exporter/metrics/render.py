"""The exposition as bytes: the output of prometheus_client's generate_latest at a tenth of its cost.

generate_latest renders all families but RowFamily, and each label set of a RowFamily once. The renderer caches the text
before each value and afterwards writes only the values.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from prometheus_client import generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from exporter.metrics.family import AnyFamily, RowFamily
from exporter.metrics.selection import ALL, CREATED, Selection

LAST_NAME = re.compile("^[^{ ]*")
EXACT = 1_000_000  # generate_latest writes larger integers with an exponent


@dataclass(frozen=True)
class Format:
    """A text format: encoder, final line, and whether it has created timestamps."""

    encode: Callable[[Collector], bytes]
    end: str = ""
    created: bool = False


TEXT = Format(generate_latest)
OPENMETRICS = Format(openmetrics.generate_latest, "# EOF\n", created=True)
FORMATS = (TEXT, OPENMETRICS)


class _Families(Collector):
    """A registry of fixed families, for generate_latest."""

    def __init__(self, *families: AnyFamily) -> None:
        self._families = families

    def collect(self) -> Iterable[AnyFamily]:  # type: ignore[override] # a RowFamily has the interface of a family
        return self._families


class Renderer:
    """Renders families in one format, without timestamps of creation unless `created`.

    Not thread-safe: one caller at a time.
    """

    def __init__(self, text_format: Format, *, created: bool = True) -> None:
        self._format, self._created = text_format, created and text_format.created
        self._prefixes: dict[str, dict[Any, list[str]]] = {}
        self._created_lines: dict[str, Mapping[Any, tuple[float, str]]] = {}

    def render(self, families: Iterable[AnyFamily], selection: Selection = ALL) -> bytes:
        """Return the exposition, byte for byte as generate_latest would write it."""
        parts = [selection.of(family, self._text(family)) for family in families if selection.shows(family)]
        return "".join([*parts, self._format.end]).encode()

    def _text(self, family: AnyFamily) -> str:
        if not isinstance(family, RowFamily):
            return self._encode(family)
        return "".join([self._encode(replace(family, rows={})), *self._lines(family)])

    def _encode(self, family: AnyFamily) -> str:
        return self._format.encode(_Families(family)).decode().removesuffix(self._format.end)

    def _lines(self, table: RowFamily) -> Iterator[str]:
        prefixes = self._prefixes_of(table)
        created = self._created_of(table, prefixes) if self._created else {}
        for labels, row in table.rows.items():
            for prefix, value in zip(prefixes[labels], table.points(row), strict=True):
                exact = type(value) is int and 0 <= value < EXACT
                yield f"{prefix}{value}.0\n" if exact else f"{prefix}{_go(value)}\n"
            if labels in created:
                yield created[labels][1]

    def _created_of(self, table: RowFamily, prefixes: Mapping[Any, list[str]]) -> Mapping[Any, tuple[float, str]]:
        """Return the line of each created timestamp, with the labels of the last sample, NAME_total or NAME_sum."""
        before, name = self._created_lines.get(table.metric.name, {}), table.name + CREATED
        lines = {
            labels: known
            if (known := before.get(labels)) and known[0] == time
            else (time, f"{name}{LAST_NAME.sub('', prefixes[labels][-1], 1)}{_go(time)}\n")
            for labels, time in table.created.items()
            if labels in prefixes
        }
        self._created_lines[table.metric.name] = lines
        return lines

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
