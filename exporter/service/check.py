"""`--check` and `--config.check`."""

from __future__ import annotations

import os
import sys
from contextlib import closing
from pathlib import Path

from exporter import __version__
from exporter.catalogue.accepted_file import AcceptedFile
from exporter.collectors.pipeline import Pipeline
from exporter.errors import ExporterError, attempt
from exporter.kernel import preflight
from exporter.kernel.bpffs import pinned_in
from exporter.metrics.scrape import Scrape
from exporter.probe.attachments import cost_of
from exporter.probe.hooks import Hook
from exporter.probe.probe import Probe
from exporter.service.options import Options
from exporter.web.config_reloader import WebFile


def config_check(options: Options) -> None:
    """Check the files that `options` name; everything else was checked by parsing. Raise ExporterError."""
    checked = WebFile(options.web.config_file), AcceptedFile(options.novelty.accepted_file)
    files = [str(path) for path in (options.service.config_file, *(file.path for file in checked)) if path]
    print(f"the configuration is valid: {', '.join(['flags', 'environment', *files])}")


def check(options: Options) -> None:
    """Load and attach the probe, read it once, and print what this kernel lacks. Raise ExporterError."""
    WebFile(options.web.config_file)
    AcceptedFile(options.novelty.accepted_file)
    preflight.check()
    with attempt("load and attach the probe"), closing(Probe(options.probe_settings())) as probe:
        probe.refresh_settings()
        probe.attach()
        pipeline = Pipeline(probe, options.series)
        os.waitpid(os.posix_spawn("/proc/self/exe", [sys.executable, "-c", ""], {}), 0)
        families = {family.name: family for family in Scrape(pipeline.collectors).collect()}
        runs = families["exec_exporter_probe_runs"].samples[0].value if "exec_exporter_probe_runs" in families else 0
        print(f"exec_exporter {__version__}, BCC {probe.bcc_version}")
        print(f"probe: compiled, loaded as {probe.program_type}, attached; {runs:.0f} executions seen")
        print(f"scripts: {_hook(probe.script_hook, 'identified by file', _without_hook(probe))}")
        print(f"failed executions: {_hook(probe.failure_hook, 'counted', 'not counted')}")
        print(f"pinned: {_pinned(options.pins.path) or 'nothing'}")
        for feature in probe.missing:
            print(f"this kernel lacks {feature.name}: {feature.without}")
        if not runs:
            raise ExporterError(
                "the probe is attached but sees no executions", "report this with the output of 'uname -a'"
            )


def _hook(hook: Hook, attached: str, without: str) -> str:
    return f"{attached}, using {hook.kind}" if hook.kind else "; ".join((without, *hook.refused))


def _without_hook(probe: Probe) -> str:
    return "named as invoked" if probe.lacks("released_script") else "identified by file, without a hook"


def _pinned(path: str) -> str:
    """Return a description of the pins and, where the kernel measures it, of their cost."""
    try:
        found = pinned_in(Path(path)) if path else ""
        cost = cost_of(Path(path)) if found else ""
    except OSError as error:
        return f"{path} cannot be read ({error.strerror})"
    return f"{found}; {cost}" if found else ""
