"""--collector.failures: failed executions by error."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from exporter.collectors.reader import ProbeReader
from exporter.events import exec_errors
from exporter.kernel.symbols import HookError
from exporter.metrics import definitions
from exporter.metrics.family import RowFamily


def failures(source: ProbeReader) -> Iterator[RowFamily]:
    """Yield failed executions by error. Raise HookError if no hook counts them."""
    if not source.failure_hook.kind:
        raise HookError(f"failed executions cannot be seen here: {'; '.join(source.failure_hook.refused)}")
    counts = Counter(dict.fromkeys((*exec_errors.ERRORS, exec_errors.OTHER), 0))
    for number, count in source.failures().items():
        counts[exec_errors.name(number)] += count
    yield RowFamily(definitions.FAILURES, {(error,): count for error, count in counts.items()})
