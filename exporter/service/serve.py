"""Serve, or write a file, until a signal."""

from __future__ import annotations

import logging
import signal
import threading
from contextlib import AbstractContextManager, closing

from prometheus_client import CollectorRegistry

from exporter.collectors.housekeeping import Housekeeping, in_background
from exporter.collectors.pipeline import Pipeline
from exporter.host import capabilities as privilege
from exporter.host import memory
from exporter.host.capabilities import CAPABILITIES
from exporter.host.sd_notify import notify
from exporter.kernel import preflight
from exporter.metrics.exposition import Exposition
from exporter.probe.probe import Probe
from exporter.probe.program import TRACEPOINT
from exporter.service.active_probe import ActiveProbe, counting
from exporter.service.novelty_setup import NoveltySetup
from exporter.service.options import Options
from exporter.service.outputs import output

log = logging.getLogger(__name__)


ESSENTIAL = ("executions", "probe")  # collectors without which there is no use in a scrape


def serve(options: Options) -> None:
    """Serves, or writes a file, until SIGTERM or SIGINT."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with closing(output(options.output, options.web)) as out:
        preflight.check()
        with closing(NoveltySetup(options)) as watch, _counting(options, watch) as counts:
            probe, pipeline = counts.probe, counts.pipeline
            registry = CollectorRegistry(auto_describe=False)
            registry.register(pipeline.scrape)
            kept = privilege.drop(pipeline.try_out, keep=watch.capabilities)
            memory.give_back()
            watch.start(pipeline.names, pipeline.decoder, probe.missing)
            with in_background(Housekeeping(probe, pipeline, judged=lambda: watch.judged), probe):
                doing = out.start(Exposition(registry.collect), lambda: _unready(probe, pipeline))
                log.info("%s; %s", doing, started(counts, kept))
                notify("READY=1")
                out.wait(stop)
                notify("STOPPING=1")
    log.info("stopped")


def started(counts: ActiveProbe, kept: frozenset[int]) -> str:
    """What the line at the start says of the probe."""
    probe = counts.probe
    lacks = ", ".join(f"{feature.name} ({feature.without})" for feature in probe.missing) or "nothing"
    capabilities = ", ".join(CAPABILITIES.get(number, str(number)) for number in sorted(kept)) or "none"
    pinned = f"pinned, {counts.pinned}" if counts.pinned else "not pinned"
    return f"probe attached to {TRACEPOINT}, {pinned}; this kernel lacks {lacks}; capabilities kept: {capabilities}"


def _unready(probe: Probe, pipeline: Pipeline) -> str:
    """Why a scrape is no good now, or nothing."""
    if not probe.attached:
        return "not attached"
    failing = [name for name in pipeline.scrape.failing if name in ESSENTIAL]
    return f"last reading failed: {', '.join(failing)}" if failing else ""


def _counting(options: Options, watch: NoveltySetup) -> AbstractContextManager[ActiveProbe]:
    """ActiveProbe as the options ask for it. What ends after one reading leaves nothing pinned."""
    path = "" if options.output.once else options.pins.path
    settings = options.probe_settings(watch.hash_key)
    return counting(path, settings, options.series, watch.collect, unpin=options.pins.unpin_on_stop)
