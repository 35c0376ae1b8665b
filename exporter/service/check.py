"""`--check` and `--config.check`."""

from __future__ import annotations

import os
import sys
from contextlib import closing
from pathlib import Path

from exporter import __version__
from exporter.catalogue.accepted_file import AcceptedFile
from exporter.collectors.pipeline import Pipeline
from exporter.errors import ExporterError
from exporter.kernel import preflight
from exporter.kernel.bpffs import pinned_in
from exporter.probe.attachments import cost_of
from exporter.probe.probe import Probe
from exporter.service.options import Options
from exporter.web.config_reloader import WebFile


def config_check(options: Options) -> None:
    """Says that the configuration is good: what is not has been refused on the way here."""
    _check_files(options)
    given = options.config_file, options.web.config_file, options.novelty.accepted_file
    files = ", ".join(str(file) for file in given if file)
    print(f"the configuration is valid: flags, environment{files and ', '}{files}")


def _check_files(options: Options) -> None:
    """Raises ExporterError for a file that serving would refuse."""
    WebFile(options.web.config_file)
    AcceptedFile(options.novelty.accepted_file)


def check(options: Options) -> None:
    """Does everything but serving, and says what this kernel lacks."""
    _check_files(options)
    preflight.check()
    with closing(Probe(options.probe_settings())) as probe:
        probe.refresh_settings()
        probe.attach()
        pipeline = Pipeline(probe, options.series)
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
            raise ExporterError(
                "the probe is attached and sees no executions", "report this with the output of 'uname -a'"
            )


def _pinned(options: Options) -> str:
    """What is pinned, and what it costs as far as the kernel counts that."""
    path = Path(options.pins.path)
    try:
        found = pinned_in(path) if options.pins.path else ""
        cost = cost_of(path) if found else ""
    except OSError as error:
        return f"{path} cannot be read ({error.strerror})"
    return f"{found}; {cost}" if found else ""
