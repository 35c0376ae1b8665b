"""From an attached probe to a scrape: what reads its maps, in one place."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from exporter import counts
from exporter.catalogue import Catalogue
from exporter.collect import Scrape
from exporter.decode import Decoder
from exporter.executions import Executions, no_rules
from exporter.label import Labels
from exporter.novelty_collector import novelty_off
from exporter.probe import Probe
from exporter.probe_collector import ProbeCollector
from exporter.processes import Processes
from exporter.seed import seed
from exporter.series import Limit
from exporter.table import AnyFamily

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SeriesSettings:
    """How many label sets there may be, how long idle ones are kept (0: for ever), and how labels are shown."""

    limit: int = 4000
    idle_seconds: float = 86_400.0
    rules: Callable[[Labels], Labels] = no_rules


class Pipeline:
    """The readers of a probe's maps, and the collectors that a scrape asks; `novelty` is one that has no map."""

    def __init__(
        self, probe: Probe, settings: SeriesSettings, novelty: Callable[[], Iterable[AnyFamily]] = novelty_off
    ) -> None:
        self.decoder = decoder = Decoder(probe.layouts)
        self._probe, self._novelty = probe, novelty
        self.catalogue = Catalogue(decoder, probe.introductions)
        self._executions = Executions(
            probe, self.catalogue, decoder, Limit(settings.limit), settings.rules, settings.idle_seconds
        )
        self._processes = (
            Processes(probe, self._executions, _seeds(probe, settings.rules)) if probe.collects("processes") else None
        )
        self.scrape = Scrape(self._collectors())

    def _collectors(self) -> dict[str, Callable[[], Iterable[AnyFamily]]]:
        """Every collector that is switched on, in the order in which a scrape asks them."""
        probe, processes = self._probe, self._processes
        beside: dict[str, Callable[[], Iterable[AnyFamily]]] = {
            "processes": processes.collect if processes else tuple,
            "arguments": counts.FormatHistograms(probe).collect,
            "forks": lambda: counts.forks(probe),
            "failures": lambda: counts.failures(probe),
            "traits": lambda: self._executions.collect_traits(
                without=() if probe.collects("preload") else ("preload",)
            ),
        }
        return {
            "executions": self._executions.collect,
            **{name: collect for name, collect in beside.items() if probe.collects(name)},
            "novelty": self._novelty,
            "probe": ProbeCollector(probe, self.catalogue, self._executions, processes).collect,
        }

    @property
    def filling(self) -> bool:
        """Whether the map of executions needs room soon."""
        return self._executions.filling

    def try_out(self) -> None:
        """Reads and changes maps as will be done. Raises OSError where this process may not."""
        self._executions.update()
        self._probe.maps["execs"].take(bytes(self._probe.maps["execs"].key_size))

    def keep_house(self) -> None:
        """Makes room in the maps, and ends series that have been idle. Raises OSError."""
        self._executions.keep_house()
        if self._processes:
            self._processes.keep_house()


def _seeds(probe: Probe, rules: Callable[[Labels], Labels]) -> dict[int, str]:
    """What ran before the probe was attached, by the numbers that its map of processes has for it now."""
    processes = probe.maps["processes"]
    layout = probe.structs["processes"]

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
