"""--collector.probe: counters and state of the probe."""

from __future__ import annotations

import platform
from collections.abc import Iterator

from exporter import __version__
from exporter.collectors.executions import Executions
from exporter.collectors.processes import Processes
from exporter.events.event_fields import FIELDS, unavailable
from exporter.events.names import Names
from exporter.metrics import definitions
from exporter.metrics.family import RowFamily
from exporter.probe.exec_header import LOSS_CAUSES
from exporter.probe.probe import Probe


class ProbeCollector:
    """Counters and state of the probe. Runs after the executions: its runs are never fewer than these."""

    def __init__(self, probe: Probe, names: Names, executions: Executions, processes: Processes | None) -> None:
        self._probe, self._names = probe, names
        self._executions, self._processes = executions, processes

    def collect(self) -> Iterator[RowFamily]:
        """Yield the counters, the fill of the maps, features of this kernel, and versions."""
        self._probe.verify()
        counters = self._probe.counters()
        lost = {(cause,): counters[f"COUNTER_LOST_{cause.upper()}"] for cause in LOSS_CAUSES}
        yield RowFamily(definitions.LOST, lost)
        yield RowFamily(definitions.PROBE_RUNS, {(): counters["COUNTER_PROBE_RUNS"]})
        seconds = self._probe.run_seconds()
        yield RowFamily(definitions.PROBE_RUN_SECONDS, {(program,): value for program, value in seconds.items()})
        yield RowFamily(definitions.PROBE_ATTACHED, {(): int(self._probe.attached)})
        repairs = self._probe.repairs
        yield RowFamily(definitions.PROBE_REPAIRS, {(kind,): number for kind, number in repairs.items()})
        yield RowFamily(definitions.PINNED, {(): int(self._probe.pinned)})
        yield RowFamily(definitions.DEFERRED, {(): counters["COUNTER_RECORDS_REFUSED"]})
        yield RowFamily(definitions.UNDECODABLE, {(): self._names.undecodable})
        entries = {"execs": self._executions.entries}
        if self._processes:
            entries.update(self._processes.entries)
            yield RowFamily(definitions.PROCESSES_UNTRACKED, {(): counters["COUNTER_PROCESSES_UNTRACKED"]})
            yield RowFamily(definitions.EXITS_LOST, {(): counters["COUNTER_EXITS_LOST"]})
        yield RowFamily(definitions.MAP_ENTRIES, {(name,): number for name, number in entries.items()})
        yield RowFamily(definitions.MAP_CAPACITY, {(name,): self._probe.capacity(name) for name in entries})
        yield RowFamily(definitions.SERIES, {(): self._executions.limit.used})
        lacking = unavailable(self._probe.missing)
        yield RowFamily(definitions.FIELD_AVAILABLE, {(field,): int(field not in lacking) for field in FIELDS})
        yield RowFamily(definitions.PROBE_INFO, {(self._probe.program_type, self._probe.script_hook.kind or "none"): 1})
        versions = __version__, platform.python_version(), self._probe.bcc_version
        yield RowFamily(definitions.BUILD_INFO, {versions: 1})
