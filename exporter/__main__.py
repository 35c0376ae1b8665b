"""Wires the parts of the exporter together, and nothing else."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from contextlib import AbstractContextManager, closing
from pathlib import Path

from prometheus_client import CollectorRegistry

from exporter import __version__
from exporter.catalogue.accepted_file import AcceptedFile
from exporter.collectors.executions import no_rules
from exporter.collectors.housekeeping import Upkeep, kept_up, tell
from exporter.collectors.pipeline import Pipeline, SeriesSettings
from exporter.commands import catalogue, findings
from exporter.commands.trace import trace
from exporter.commands.unpin import unpin
from exporter.errors import FAILED, Refusal
from exporter.host import capabilities as privilege
from exporter.host import memory
from exporter.host.sd_notify import notify
from exporter.kernel import preflight
from exporter.kernel.bpffs import pinned_in
from exporter.logs import set_up_logging
from exporter.metrics.exposition import Exposition
from exporter.probe.attachments import cost_of
from exporter.probe.probe import Probe
from exporter.probe.program import TRACEPOINT, ProbeSettings
from exporter.service.active_probe import Counting, counting
from exporter.service.novelty_setup import Watch
from exporter.service.options import Options, parse
from exporter.service.outputs import output
from exporter.web.config_reloader import WebFile

log = logging.getLogger("exec_exporter")

COMMANDS = {
    "trace": trace,
    "unpin": unpin,
    "findings": findings.findings,
    "catalogue": catalogue.catalogue,
}
ESSENTIAL = ("executions", "probe")  # collectors without which there is no use in a scrape


def main() -> None:
    """The command `exec_exporter`."""
    try:
        privilege.put_into_effect()
        command = COMMANDS.get(sys.argv[1]) if len(sys.argv) > 1 else None
        if command:
            command(sys.argv[2:])
            return
        options = parse(sys.argv[1:])
        set_up_logging(options.log_level, options.log_format)
        (config_check if options.config_check else check if options.check else serve)(options)
    except Refusal as refusal:
        sys.exit(_say(f"exec_exporter: {refusal}", refusal.status))
    except KeyboardInterrupt:
        sys.exit(0)
    except Exception as error:
        log.debug("", exc_info=True)
        sys.exit(_say(f"exec_exporter: {type(error).__name__}: {error}: this is a bug, please report it", FAILED))


def serve(options: Options) -> None:
    """Serves, or writes a file, until SIGTERM or SIGINT."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with closing(output(options)) as out:
        preflight.check()
        with closing(Watch(options)) as watch, _counting(options, watch) as counts:
            probe, pipeline = counts.probe, counts.pipeline
            registry = CollectorRegistry(auto_describe=False)
            registry.register(pipeline.scrape)
            kept = privilege.drop(pipeline.try_out, keep=watch.capabilities)
            memory.give_back()
            watch.start(pipeline.catalogue, pipeline.decoder, probe.missing)
            with kept_up(Upkeep(probe, pipeline, judged=lambda: watch.judged), probe):
                doing = out.start(Exposition(registry.collect), lambda: _unready(probe, pipeline))
                log.info("%s; %s", doing, started(counts, kept))
                notify("READY=1")
                out.wait(stop)
                notify("STOPPING=1")
    log.info("stopped")


def started(counts: Counting, kept: frozenset[int]) -> str:
    """What the line at the start says of the probe."""
    probe = counts.probe
    lacks = ", ".join(f"{feature.name} ({feature.without})" for feature in probe.missing) or "nothing"
    capabilities = ", ".join(preflight.CAPABILITIES.get(number, str(number)) for number in sorted(kept)) or "none"
    pinned = f"pinned, {counts.pinned}" if counts.pinned else "not pinned"
    return f"probe attached to {TRACEPOINT}, {pinned}; this kernel lacks {lacks}; capabilities kept: {capabilities}"


def _unready(probe: Probe, pipeline: Pipeline) -> str:
    """Why a scrape is no good now, or nothing."""
    if not probe.attached:
        return "not attached"
    failing = [name for name in pipeline.scrape.failing if name in ESSENTIAL]
    return f"last reading failed: {', '.join(failing)}" if failing else ""


def config_check(options: Options) -> None:
    """Says that the configuration is good: what is not has been refused on the way here."""
    _check_files(options)
    given = options.config_file, options.web_config_file, options.accepted_file
    files = ", ".join(str(file) for file in given if file)
    print(f"the configuration is valid: flags, environment{files and ', '}{files}")


def _check_files(options: Options) -> None:
    """Raises Refusal for a file that serving would refuse."""
    WebFile(options.web_config_file)
    AcceptedFile(options.accepted_file)


def check(options: Options) -> None:
    """Does everything but serving, and says what this kernel lacks."""
    _check_files(options)
    preflight.check()
    with closing(Probe(_settings(options))) as probe:
        tell(probe)
        probe.attach()
        pipeline = Pipeline(probe, _series(options))
        os.waitpid(os.posix_spawn("/proc/self/exe", [sys.executable, "-c", ""], {}), 0)
        families = {family.name: family for family in pipeline.scrape.collect()}
        runs = families["exec_exporter_probe_runs"].samples[0].value if "exec_exporter_probe_runs" in families else 0
        print(f"exec_exporter {__version__}, BCC {probe.bcc_version}")
        print(f"probe: compiled, loaded as {probe.program_type}, attached; {runs:.0f} executions seen")
        if probe.script_hook.kind:
            print(f"scripts: known by their own file, caught by {probe.script_hook.kind}")
        else:
            print(f"scripts: named as they were invoked; {'; '.join(probe.script_hook.refused) or 'no hook'}")
        if probe.failure_hook.kind:
            print(f"failed executions: counted by {probe.failure_hook.kind}")
        else:
            print(f"failed executions: not counted; {'; '.join(probe.failure_hook.refused) or 'switched off'}")
        print(f"pinned: {_pinned(options) or 'nothing'}")
        for feature in probe.missing:
            print(f"this kernel lacks {feature.name}: {feature.without}")
        if not runs:
            raise Refusal("the probe is attached and sees no executions", "report this with the output of 'uname -a'")


def _pinned(options: Options) -> str:
    """What is pinned, and what it costs as far as the kernel counts that."""
    path = Path(options.pin_path)
    try:
        found = pinned_in(path) if options.pin_path else ""
        cost = cost_of(path) if found else ""
    except OSError as error:
        return f"{path} cannot be read ({error.strerror})"
    return f"{found}; {cost}" if found else ""


def _counting(options: Options, watch: Watch) -> AbstractContextManager[Counting]:
    """Counting as the options ask for it. What ends after one reading leaves nothing pinned."""
    path = "" if options.once else options.pin_path
    settings = _settings(options, watch.hash_key)
    return counting(path, settings, _series(options), watch.collect, unpin=options.unpin_on_stop)


def _settings(options: Options, hash_key: bytes = b"") -> ProbeSettings:
    return ProbeSettings(
        executions_entries=options.map_entries,
        processes_entries=options.process_entries,
        introductions_pages=options.ring_buffer_pages,
        hash_key=hash_key,
        argv_bytes=options.argv_bytes,
        env_bytes=0 if options.env == "none" else options.env_bytes,
        collect=options.collectors,
    )


def _series(options: Options) -> SeriesSettings:
    rules = options.path_rules.apply if options.path_rules else no_rules
    return SeriesSettings(options.series_limit, options.series_idle_seconds, rules)


def _say(line: str, status: int) -> int:
    print(line, file=sys.stderr)
    return status


if __name__ == "__main__":
    main()
