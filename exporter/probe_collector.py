"""How the probe is doing."""

from __future__ import annotations

import platform
from collections.abc import Iterator

from exporter import __version__, metrics
from exporter.catalogue import Catalogue
from exporter.event import LOSS_CAUSES
from exporter.executions import Executions
from exporter.fields import FIELDS, unavailable
from exporter.processes import Processes
from exporter.source import Source
from exporter.table import Table


class ProbeCollector:
    """The probe's counters and state. Asked after the executions: runs are never fewer than what they led to."""

    def __init__(
        self, source: Source, catalogue: Catalogue, executions: Executions, processes: Processes | None
    ) -> None:
        self._source, self._catalogue = source, catalogue
        self._executions, self._processes = executions, processes

    def collect(self) -> Iterator[Table]:
        """The counters, how full the maps are, what this kernel shows, and the versions of what runs."""
        counters = self._source.counters()
        lost = {(cause,): counters[f"COUNTER_LOST_{cause.upper()}"] for cause in LOSS_CAUSES}
        yield Table(metrics.LOST, lost)
        yield Table(metrics.PROBE_RUNS, {(): counters["COUNTER_PROBE_RUNS"]})
        seconds = self._source.run_seconds()
        yield Table(metrics.PROBE_RUN_SECONDS, {(program,): value for program, value in seconds.items()})
        yield Table(metrics.PROBE_ATTACHED, {(): int(self._source.attached)})
        yield Table(metrics.PINNED, {(): int(self._source.pinned)})
        yield Table(metrics.DEFERRED, {(): counters["COUNTER_RECORDS_REFUSED"]})
        yield Table(metrics.UNDECODABLE, {(): self._catalogue.undecodable})
        entries = {"execs": self._executions.entries}
        if self._processes:
            entries.update(self._processes.entries)
            yield Table(metrics.PROCESSES_UNTRACKED, {(): counters["COUNTER_PROCESSES_UNTRACKED"]})
            yield Table(metrics.EXITS_LOST, {(): counters["COUNTER_EXITS_LOST"]})
        yield Table(metrics.MAP_ENTRIES, {(name,): number for name, number in entries.items()})
        yield Table(metrics.MAP_CAPACITY, {(name,): self._source.capacity(name) for name in entries})
        yield Table(metrics.SERIES, {(): self._executions.limit.used})
        lacking = unavailable(self._source.missing)
        yield Table(metrics.FIELD_AVAILABLE, {(field,): int(field not in lacking) for field in FIELDS})
        yield Table(metrics.PROBE_INFO, {(self._source.program_type, self._source.script_hook.kind or "none"): 1})
        versions = __version__, platform.python_version(), self._source.bcc_version
        yield Table(metrics.BUILD_INFO, {versions: 1})
