"""Totals of earlier generations of the probe, which are added to the counts of the present one."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from exporter.compiler.compile import Compiled
from exporter.kernel.bpf_map import Map

log = logging.getLogger(__name__)

NUMBERS = "counters", "failures"  # maps whose numbers mean the same in every generation
HISTOGRAM_NAMES = "histogram_name", "format"  # enums
WORD = 1 << 64


class CarriedTotals:
    """Sums of the maps `counters`, `failures` and `histograms` of all earlier generations.

    `ids` are the kernel's ids of the present maps; they show whether a saved state is of these maps or of others.
    """

    def __init__(self, compiled: Compiled, ids: Mapping[str, int], histograms: Map) -> None:
        self._compiled, self._ids = compiled, ids
        self.numbers: dict[str, Counter[str]] = {name: Counter() for name in NUMBERS}
        self.histograms = [bytes(histograms.value_size)] * histograms.max_entries

    def state(self, numbers: Mapping[str, Counter[str]], histograms: Iterable[Iterable[bytes]]) -> dict[str, Any]:
        """Return the state for `restore`, from `numbers` and `histograms` of the present maps, the latter by CPU."""
        present = [_sum(cpus).hex() for cpus in histograms]
        before = [one.hex() for one in self.histograms]
        return {
            "histograms": [self._ids["histograms"], self._meaning(), before, present],
            **{name: [self._ids[name], self.numbers[name], numbers[name]] for name in NUMBERS},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a state; if it is of other maps, their contents are carried too."""
        for name in NUMBERS:
            number, before, present = state[name]
            self.numbers[name] = Counter(before)
            if number != self._ids[name]:
                self.numbers[name] += Counter(present)
        number, meaning, before, present = state["histograms"]
        if meaning != self._meaning():
            log.warning("the histograms by format restart from 0: their buckets differ from those before")
            return
        self.histograms = [bytes.fromhex(one) for one in before]
        if number != self._ids["histograms"]:
            both = zip(self.histograms, map(bytes.fromhex, present), strict=True)
            self.histograms = [_sum(pair) for pair in both]

    def _meaning(self) -> Any:
        """Return the meaning of the histograms as JSON: only those with equal meaning can be added."""
        vocabulary = self._compiled.vocabulary
        names = [name for name in sorted(vocabulary) if name in HISTOGRAM_NAMES or name.endswith("_bounds")]
        return [self._compiled.maps["histograms"].value, [vocabulary[name] for name in names]]


def _sum(values: Iterable[bytes]) -> bytes:
    """Return the sum of structs of 64-bit numbers, which may wrap around."""
    words = [memoryview(one).cast("Q") for one in values]
    return b"".join((sum(column) % WORD).to_bytes(8, sys.byteorder) for column in zip(*words, strict=True))
