"""A probe that counts, and what reads it: pinned where that is possible, else for as long as this process runs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from exporter.collectors.flags import SeriesOptions
from exporter.collectors.pipeline import Pipeline
from exporter.kernel.bpffs import Pins, PinsUnavailable
from exporter.metrics.checkpoint import Checkpoint
from exporter.metrics.family import AnyFamily
from exporter.probe.probe import Probe
from exporter.probe.program import ProbeSettings
from exporter.service.handover import Handover

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ActiveProbe:
    """An attached probe, its pipeline, and how it came to be pinned; empty if it is not."""

    probe: Probe
    pipeline: Pipeline
    pinned: str = ""


@contextmanager
def counting(
    path: str,
    settings: ProbeSettings,
    series: SeriesOptions,
    novelty: Callable[[], Iterable[AnyFamily]],
    *,
    unpin: bool,
) -> Iterator[ActiveProbe]:
    """Counts, with what is pinned in a directory; not pinned if that is empty, or cannot be had, which is said.

    `unpin`: nothing stays pinned. Raises ExporterError.
    """
    pins = _pins(path)
    found = pins and _pinned(pins, settings, series, novelty)
    if pins and found:
        with closing(pins), closing(found.probe):
            yield found
            found.pipeline.settle()
            if unpin:
                pins.remove_all()
                log.info("unpinned: nothing is counted any more")
            else:
                log.info("counting goes on in the kernel; exec_exporter unpin ends it")
        return
    with closing(Probe(settings)) as probe:
        probe.refresh_settings()
        probe.attach()
        pipeline = Pipeline(probe, series, novelty)
        pipeline.names.hold([])
        yield ActiveProbe(probe, pipeline)


def _pins(path: str) -> Pins | None:
    if not path:
        return None
    try:
        return Pins(Path(path))
    except PinsUnavailable as error:
        _say(f"{error}")
        return None


def _pinned(
    pins: Pins, settings: ProbeSettings, series: SeriesOptions, novelty: Callable[[], Iterable[AnyFamily]]
) -> ActiveProbe | None:
    def readers(probe: Probe, checkpoint: Checkpoint, seeding: bool) -> Pipeline:
        return Pipeline(probe, series, novelty, checkpoint, seeding=seeding)

    handover = Handover(pins, settings, readers)
    try:
        return ActiveProbe(*handover.begin(), handover.how)
    except OSError as error:
        _say(f"{pins.path}: {error.strerror}")
        pins.close()
        return None


def _say(why: str) -> None:
    log.warning("nothing is pinned, so counting ends with the exporter (%s); --bpf.pin-path= says that it may", why)
