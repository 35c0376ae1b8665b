"""An attached probe and its pipeline: pinned where possible, else for as long as this process runs."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from exporter.collectors.flags import SeriesOptions
from exporter.collectors.pipeline import Pipeline
from exporter.events.decode import Decoder
from exporter.kernel.blob_map import BlobMap
from exporter.kernel.bpffs import Pins, PinsUnavailable
from exporter.probe.probe import Probe
from exporter.probe.program import ProbeSettings
from exporter.probe.record_queue import CHECKPOINT, NOVELTY, RecordQueue
from exporter.service.handover import Handover

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ActiveProbe:
    """An attached probe and its pipeline.

    `pinned` describes the origin of the pins, and is empty without pins. `inherited` has the records from the ring
    buffers of older probes that novelty has not judged, each with its decoder.
    """

    probe: Probe
    pipeline: Pipeline
    pinned: str = ""
    inherited: deque[tuple[Decoder, bytes]] = field(default_factory=deque)


@contextmanager
def counting(
    path: str, settings: ProbeSettings, series: SeriesOptions, *, novelty: bool, unpin: bool
) -> Iterator[ActiveProbe]:
    """Count with the pins of a directory; without pins if `path` is empty or cannot be used, which is logged.

    With `novelty`, records are queued for it. With `unpin`, nothing stays pinned. Raise ExporterError.
    """
    pins = _pins(path)
    active = pins and _pinned(pins, settings, series, novelty=novelty)
    if pins and active:
        with closing(pins), closing(active.probe), closing(active.pipeline):
            yield active
            active.probe.verify()
            active.pipeline.flush()
            if unpin:
                pins.remove_all()
                log.info("unpinned: counting has ended")
            else:
                log.info("counting continues in the kernel until exec_exporter unpin")
        return
    with closing(Probe(settings)) as probe:
        probe.refresh_settings()
        probe.attach()
        queue = RecordQueue(BlobMap.create("records", RecordQueue.PARTS), (NOVELTY,)) if novelty else None
        with closing(Pipeline(probe, series, queue)) as pipeline:
            yield ActiveProbe(probe, pipeline)


def _pins(path: str) -> Pins | None:
    if not path:
        return None
    try:
        return Pins(Path(path))
    except PinsUnavailable as error:
        _warn(f"{error}")
        return None


def _pinned(pins: Pins, settings: ProbeSettings, series: SeriesOptions, *, novelty: bool) -> ActiveProbe | None:
    handover = Handover(pins, settings, series, (CHECKPOINT, NOVELTY) if novelty else (CHECKPOINT,))
    try:
        return ActiveProbe(*handover.begin(), handover.how, handover.inherited)
    except OSError as error:
        _warn(f"{pins.path}: {error.strerror}")
        pins.close()
        return None


def _warn(reason: str) -> None:
    log.warning("nothing is pinned, so counting ends with the exporter (%s); --bpf.pin-path= allows that", reason)
