"""Enums and bounds that probe and exporter share, read from bpf/exec.h."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).parents[1]
# An installed wheel has bpf/ inside the package, a checkout beside it.
BPF_DIRECTORY = next(path for path in (_PACKAGE / "bpf", _PACKAGE.parent / "bpf") if path.is_dir())

_ENUM = re.compile(r"enum (\w+) \{(.*?)\};", re.DOTALL)
_BOUNDS = re.compile(r"^#define (\w+)_BOUNDS\(X\)(.*)$", re.MULTILINE)
_BOUND = re.compile(r"X\((\d+)\)")
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)


def parse_enums(header: str) -> dict[str, dict[str, int]]:
    """Return the numbers of each enum's names, by enum, in a C header."""
    enums: dict[str, dict[str, int]] = {}
    for enum, body in _ENUM.findall(_COMMENT.sub("", header)):
        names = enums.setdefault(enum, {})
        following = 0
        for entry in filter(None, (part.strip() for part in body.split(","))):
            name, _, number = (part.strip() for part in entry.partition("="))
            names[name] = int(number, 0) if number else following
            following = names[name] + 1
    return enums


def parse_bounds(header: str) -> dict[str, tuple[int, ...]]:
    """Return the upper bounds of each histogram's buckets, by its name in lower case, in a C header."""
    bounds = _BOUNDS.findall(_COMMENT.sub("", header).replace("\\\n", ""))
    return {name.lower(): tuple(map(int, _BOUND.findall(text))) for name, text in bounds}


@cache
def vocabulary() -> dict[str, dict[str, int]]:
    """Return the enums of exec.h, and likewise the bounds of each histogram: the meaning of numbers in maps."""
    header = (BPF_DIRECTORY / "exec.h").read_text("ascii")
    found = parse_bounds(header)
    return {
        **parse_enums(header),
        **{f"{name}_bounds": {str(n): one for n, one in enumerate(each)} for name, each in found.items()},
    }


def enum(name: str) -> dict[str, int]:
    """Return the names and numbers of an enum."""
    return vocabulary()[name]


def bounds(name: str) -> tuple[int, ...]:
    """Return the bounds of a histogram in exec.h, in the unit that the probe counts in."""
    return tuple(vocabulary()[f"{name}_bounds"].values())


def _values(enum_name: str, prefix: str) -> tuple[str, ...]:
    """Return an enum's names as label values, by number, without the last one, which is their count."""
    return tuple(name.removeprefix(prefix).lower() for name in list(enum(enum_name))[:-1])


# Label values by number: "unknown", "file", ...
STDIN_TYPES = {number: name.removeprefix("STDIN_").lower() for name, number in enum("stdin_type").items()}
# Index of the counters array by cause: "map_full", ...
LOSS_CAUSES = {
    name.removeprefix("COUNTER_LOST_").lower(): number
    for name, number in enum("counter").items()
    if name.startswith("COUNTER_LOST_")
}
FORMATS = _values("format", "FORMAT_")
OUTCOMES = _values("outcome", "OUTCOME_")
HISTOGRAMS = _values("histogram_name", "HISTOGRAM_")


@dataclass(frozen=True)
class Layouts:
    """The structs exec_key and introduction of a probe's exec.h, as ctypes, and the enums of that exec.h."""

    key: type[ctypes.Structure]
    introduction: type[ctypes.Structure]
    vocabulary: Mapping[str, Mapping[str, int]] = field(default_factory=vocabulary)
