"""Count and expose until a signal."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from contextlib import ExitStack, closing
from itertools import chain

from prometheus_client import ProcessCollector

from exporter.collectors.config_files import config_files
from exporter.collectors.flags import ALWAYS
from exporter.collectors.housekeeping import Housekeeping, in_background
from exporter.errors import attempt
from exporter.host import capabilities, libc
from exporter.host.capabilities import CAPABILITIES
from exporter.host.sd_notify import notify
from exporter.kernel import preflight
from exporter.metrics.exposition import Exposition
from exporter.metrics.family import AnyFamily
from exporter.metrics.scrape import Scrape
from exporter.novelty.detector import Introductions
from exporter.probe.probe import Probe
from exporter.probe.program import TRACEPOINT
from exporter.service.active_probe import ActiveProbe, counting
from exporter.service.novelty_setup import NoveltySetup
from exporter.service.options import Options
from exporter.service.outputs import HTTP, keep_writing, write
from exporter.service.reload import Reload
from exporter.service.stop import Stop

log = logging.getLogger(__name__)


def serve(options: Options) -> None:
    """Run until SIGTERM or SIGINT, with --once until the metrics are written.

    Raise ExporterError, and KeyboardInterrupt for a signal during the start.
    """
    stop, output = Stop(), options.output
    with ExitStack() as stack:  # closes in reverse order
        # At the start: check the options, listen, load the probe; then drop all privileges but reading.
        with attempt("listen"):
            http = None if output.once or output.textfile else stack.enter_context(closing(HTTP(options.web)))
        preflight.check()
        novelty = stack.enter_context(closing(NoveltySetup(options)))
        pins = "" if output.once else options.pins.path
        settings, unpin = options.probe_settings(novelty.hash_key), options.pins.unpin_on_stop
        counts = counting(pins, settings, options.series, novelty=novelty.enabled, unpin=unpin)
        with attempt("load and attach the probe"):
            active = stack.enter_context(counts)
        probe, pipeline = active.probe, active.pipeline
        with attempt("drop capabilities"):
            kept = capabilities.drop(pipeline.try_out, keep=novelty.capabilities)
        libc.trim_heap()
        stop.running()
        if pipeline.queue and pipeline.copied_up:
            pipeline.preload(novelty.labels())
            pipeline.copied_up.preload(novelty.written())
            introductions = Introductions(
                pipeline.decoder, pipeline.labels, pipeline.take_used, pipeline.copied_up, active.inherited
            )
            novelty.start(pipeline.queue, introductions, probe.missing, lambda: pipeline.series)
        stack.callback(novelty.close)  # before the queue is closed
        stack.callback(pipeline.drain)  # for novelty, the last records
        stack.enter_context(in_background(Housekeeping(probe, pipeline), probe))

        # While running: housekeeping, novelty and HTTP have their own threads.
        files = (novelty.accepted_file, http.file) if http else (novelty.accepted_file,)
        stop.reload = reload = Reload(options, pipeline, files)
        scrape = Scrape({**pipeline.collectors, "novelty": novelty.collect})
        # Not in a file: node_exporter, which reads it, has these metrics of its own.
        process = ProcessCollector(registry=None).collect if http else tuple

        def families(wanted: Collection[str] | None) -> Iterable[AnyFamily]:
            return chain(scrape.collect(wanted), config_files((reload, *files)), process())

        exposition = Exposition(families, created=options.web.created)
        if http:
            running = http.start(exposition, lambda: _unready(probe, scrape), options.collectors, reload)
            stack.callback(http.stop)
        else:
            running = write(output, exposition)
        log.info("%s; %s", running, summary(active, kept))
        notify("READY=1")
        if http:
            while not stop.wait():
                pass
        elif not output.once:
            keep_writing(output, exposition, stop.wait)

        # At the stop: responses are finished, counts and findings saved.
        notify("STOPPING=1")
    log.info("stopped")


def summary(active: ActiveProbe, kept: frozenset[int]) -> str:
    """Return the state of the probe, and the capabilities that are `kept`, for the log."""
    probe = active.probe
    lacks = ", ".join(f"{feature.name} ({feature.without})" for feature in probe.missing) or "nothing"
    names = ", ".join(CAPABILITIES.get(number, str(number)) for number in sorted(kept)) or "none"
    pinned = f"pinned, {active.pinned}" if active.pinned else "not pinned"
    return f"probe attached to {TRACEPOINT}, {pinned}; this kernel lacks {lacks}; capabilities kept: {names}"


def _unready(probe: Probe, scrape: Scrape) -> str:
    """Return why scrapes are incomplete, or an empty string."""
    if not probe.attached:
        return "not attached"
    failing = [name for name in scrape.failing if name in ALWAYS]
    return f"last reading failed: {', '.join(failing)}" if failing else ""
