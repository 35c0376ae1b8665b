"""--collector.failures: failed executions by error."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from exporter.events import exec_errors
from exporter.kernel.symbols import HookError
from exporter.metrics import definitions
from exporter.metrics.family import RowFamily
from exporter.probe.probe import Probe


def failures(probe: Probe) -> Iterator[RowFamily]:
    """Yield failed executions by error. Raise HookError if no hook counts them."""
    if not probe.failure_hook.kind:
        raise HookError(f"failed executions cannot be seen here: {'; '.join(probe.failure_hook.refused)}")
    counts = Counter(dict.fromkeys((*exec_errors.ERRORS, exec_errors.OTHER), 0))
    for number, count in probe.failures().items():
        counts[exec_errors.name(number)] += count
    yield RowFamily(definitions.FAILURES, {(error,): count for error, count in counts.items()})
