"""Run in a guest: prints one line of JSON that says what the exporter can do there, for the support table."""

import contextlib
import json
import platform

from exporter.probe import Probe
from exporter.program import ProbeSettings
from exporter.script_hook import KINDS

MARK = "facts: "


def hooks():
    """Which of the hooks for scripts fire here, each tried alone."""
    for kind in KINDS:
        with contextlib.closing(Probe(ProbeSettings(script_hooks=(kind,)))) as probe:
            probe.attach()
            if probe.script_hook.kind:
                yield kind


def facts():
    """What a row of the table says."""
    with contextlib.closing(Probe(ProbeSettings())) as probe:
        probe.attach()
        return {
            "release": platform.release(),
            "machine": platform.machine(),
            "python": platform.python_version(),
            "bcc": probe.bcc_version,
            "missing": [feature.name for feature in probe.missing],
            "hook": probe.script_hook.kind,
            "hooks": list(hooks()),
        }


if __name__ == "__main__":
    print(MARK + json.dumps(facts()), flush=True)
