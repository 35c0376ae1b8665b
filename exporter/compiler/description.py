"""A compiled source as JSON, and back."""

from __future__ import annotations

import base64
from collections.abc import Collection
from typing import Any

from exporter.compiler.compile import Compiled, CompiledMap
from exporter.compiler.kernel_facts import KernelFacts
from exporter.compiler.kernel_types import Feature
from exporter.kernel.bpf_syscall import MapInfo


def describe(compiled: Compiled) -> dict[str, Any]:
    """Return values that JSON can hold, for `compiled_from`."""
    kernel = compiled.kernel
    return {
        "programs": {name: base64.b64encode(code).decode() for name, code in compiled.programs.items()},
        "maps": {name: [one.info, one.key, one.value] for name, one in compiled.maps.items()},
        "numbers": compiled.numbers,
        "typed": compiled.typed,
        "bcc_version": compiled.bcc_version,
        "missing": [feature.name for feature in kernel.missing],
        "functions": dict(kernel.functions),
        "tracepoint": kernel.tracepoint,
        "vocabulary": compiled.vocabulary,
    }


def compiled_from(described: dict[str, Any], features: Collection[Feature]) -> Compiled:
    """Return what was described; `features` are those of the program. Raise ValueError, KeyError, TypeError."""
    missing = tuple(feature for feature in features if feature.name in described["missing"])
    return Compiled(
        {name: base64.b64decode(code) for name, code in described["programs"].items()},
        {name: CompiledMap(MapInfo(*info), key, value) for name, (info, key, value) in described["maps"].items()},
        {int(number): name for number, name in described["numbers"].items()},
        described["typed"],
        described["bcc_version"],
        KernelFacts(missing, described["functions"], described["tracepoint"]),
        described["vocabulary"],
    )
