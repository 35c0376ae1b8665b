"""From an attached probe to a scrape: what reads its maps, in one place."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable

from exporter.collectors import arguments
from exporter.collectors.executions import Executions
from exporter.collectors.failures import failures
from exporter.collectors.flags import SeriesOptions
from exporter.collectors.forks import forks
from exporter.collectors.novelty import novelty_off
from exporter.collectors.probe import ProbeCollector
from exporter.collectors.processes import Processes
from exporter.collectors.processes_at_start import FIRST, seed
from exporter.compiler.ctypes_layout import u64_reader
from exporter.events.decode import Decoder
from exporter.events.labels import Labels
from exporter.events.names import Names
from exporter.metrics.checkpoint import Checkpoint
from exporter.metrics.family import AnyFamily
from exporter.metrics.scrape import Scrape
from exporter.metrics.series import Limit
from exporter.metrics.tracked_dict import Changes, Tables
from exporter.probe.probe import Probe

log = logging.getLogger(__name__)


class Pipeline:
    """The readers of a probe's maps, and the collectors that a scrape asks; `novelty` is one that has no map.

    It goes on from the state that is in the `checkpoint`, if there is one, and keeps its own there. `seeding`: it
    finds out what runs already. Raises OSError.
    """

    def __init__(
        self,
        probe: Probe,
        options: SeriesOptions,
        novelty: Callable[[], Iterable[AnyFamily]] = novelty_off,
        checkpoint: Checkpoint | None = None,
        *,
        seeding: bool = True,
    ) -> None:
        saved = checkpoint.load() if checkpoint else None
        self.decoder = decoder = Decoder(probe.layouts)
        self._probe, self._novelty = probe, novelty
        self.names = Names(decoder, probe.introductions)
        self._executions = Executions(
            probe, self.names, decoder, Limit(options.limit), options.path_rules.apply, options.idle_seconds
        )
        seeds = _seeds(probe, options.path_rules.apply) if seeding and probe.collects("processes") else {}
        self._processes = Processes(probe, self._executions, seeds) if probe.collects("processes") else None
        self._others: dict[str, Changes] = {}  # what was saved of what is switched off now
        if saved:
            self._restore(saved)
        self._checkpoint = checkpoint
        self._before = probe.record_queue.before if probe.record_queue else 0  # records of other processes
        self._saved = 0  # of the records so many have their names in the checkpoint
        self._executions.save = self._save
        self.scrape = Scrape(self._collectors())

    def _restore(self, saved: dict[str, Tables]) -> None:
        self._probe.restore(saved["probe"]["state"][0])
        self._executions.restore(saved["executions"])
        if self._processes and "processes" in saved:
            self._processes.restore(saved["processes"])
        elif "processes" in saved:
            self._others["processes"] = {name: [*table.items()] for name, table in saved["processes"].items()}

    def _changes(self, whole: bool) -> dict[str, Changes]:
        parts = {"executions": self._executions.changes(whole=whole)}
        if self._processes:
            parts["processes"] = self._processes.changes(whole=whole)
        return parts

    def _save(self) -> None:
        """Keeps what has changed for the next process. For who has the lock."""
        if not self._checkpoint:
            self._changes(whole=False)  # nobody wants to know
            return

        def changes(whole: bool) -> dict[str, Changes]:
            others = self._others if whole else {}
            return {"probe": {"state": [(0, self._probe.state())]}, **self._changes(whole), **others}

        if self._checkpoint.save(changes):
            self._saved = self._executions.accounted

    def settle(self) -> None:
        """Keeps everything as it is now. Raises OSError."""
        with self._executions.lock:
            self._executions.update_locked()
            if self._processes:
                self._processes.update_locked()
            self._save()

    def release(self, judged: int | None) -> None:
        """Lets go of the records whose names are kept and of which so many are judged; None: none have to be."""
        record_queue = self._probe.record_queue
        if record_queue and record_queue.pending:
            with self._executions.lock:
                if self._saved < self._executions.accounted:
                    self._save()
            record_queue.acknowledge("checkpoint", self._before + self._saved)
            record_queue.acknowledge("novelty", self._before + (self._saved if judged is None else judged))

    def _collectors(self) -> dict[str, Callable[[], Iterable[AnyFamily]]]:
        """Every collector that is switched on, in the order in which a scrape asks them."""
        probe, processes = self._probe, self._processes
        beside: dict[str, Callable[[], Iterable[AnyFamily]]] = {
            "processes": processes.collect if processes else tuple,
            "arguments": arguments.FormatHistograms(probe).collect,
            "forks": lambda: forks(probe),
            "failures": lambda: failures(probe),
            "traits": lambda: self._executions.collect_traits(
                without=() if probe.collects("preload") else ("preload",)
            ),
        }
        return {
            "executions": self._executions.collect,
            **{name: collect for name, collect in beside.items() if probe.collects(name)},
            "novelty": self._novelty,
            "probe": ProbeCollector(probe, self.names, self._executions, processes).collect,
        }

    @property
    def filling(self) -> bool:
        """Whether the map of executions needs room."""
        return self._executions.filling

    def try_out(self) -> None:
        """Reads and changes maps as will be done. Raises OSError where this process may not."""
        self._executions.update()
        self._probe.maps["execs"].take(bytes(self._probe.maps["execs"].key_size))

    def evict(self, *, room: bool = False) -> None:
        """Ends series that have been idle; makes room in the maps where they fill, or if told so. Raises OSError."""
        (self._processes or self._executions).evict(room=room)


def _seeds(probe: Probe, rules: Callable[[Labels], Labels]) -> dict[int, str]:
    """What ran before the probe was attached, by the numbers that its map of processes has for it now.

    What another process has put there is taken out first.
    """
    processes = probe.maps["processes"]
    layout = probe.structs["processes"]
    program = u64_reader(layout, "program")
    for key in [key for key, value in probe.entries("processes") if program(value) >= FIRST]:
        processes.remove(key)

    def put(pid: int, program: int) -> bool:
        return processes.put(_key(pid), bytes(layout(program=program)), new=True)

    try:
        paths = seed(put, lambda pid: processes.remove(_key(pid)))
    except OSError as error:
        log.warning("not all processes that run already could be put into the map of processes: %s", error.strerror)
        return {}
    return {program: rules(Labels(path, "", "")).path for program, path in paths.items()}


def _key(pid: int) -> bytes:
    return pid.to_bytes(4, sys.byteorder)
