"""How the probe is doing."""

from __future__ import annotations

import platform
from collections.abc import Iterator

from exporter import __version__
from exporter.collectors.executions import Executions
from exporter.collectors.processes import Processes
from exporter.collectors.reader import Source
from exporter.events.event_arguments import FIELDS, unavailable
from exporter.events.names import Catalogue
from exporter.metrics import definitions
from exporter.metrics.family import Table
from exporter.probe.event_header import LOSS_CAUSES


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
        yield Table(definitions.LOST, lost)
        yield Table(definitions.PROBE_RUNS, {(): counters["COUNTER_PROBE_RUNS"]})
        seconds = self._source.run_seconds()
        yield Table(definitions.PROBE_RUN_SECONDS, {(program,): value for program, value in seconds.items()})
        yield Table(definitions.PROBE_ATTACHED, {(): int(self._source.attached)})
        yield Table(definitions.PINNED, {(): int(self._source.pinned)})
        yield Table(definitions.DEFERRED, {(): counters["COUNTER_RECORDS_REFUSED"]})
        yield Table(definitions.UNDECODABLE, {(): self._catalogue.undecodable})
        entries = {"execs": self._executions.entries}
        if self._processes:
            entries.update(self._processes.entries)
            yield Table(definitions.PROCESSES_UNTRACKED, {(): counters["COUNTER_PROCESSES_UNTRACKED"]})
            yield Table(definitions.EXITS_LOST, {(): counters["COUNTER_EXITS_LOST"]})
        yield Table(definitions.MAP_ENTRIES, {(name,): number for name, number in entries.items()})
        yield Table(definitions.MAP_CAPACITY, {(name,): self._source.capacity(name) for name in entries})
        yield Table(definitions.SERIES, {(): self._executions.limit.used})
        lacking = unavailable(self._source.missing)
        yield Table(definitions.FIELD_AVAILABLE, {(field,): int(field not in lacking) for field in FIELDS})
        yield Table(definitions.PROBE_INFO, {(self._source.program_type, self._source.script_hook.kind or "none"): 1})
        versions = __version__, platform.python_version(), self._source.bcc_version
        yield Table(definitions.BUILD_INFO, {versions: 1})
