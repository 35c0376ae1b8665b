"""A plugin for pytest in a guest: prints one line of JSON with the abilities of the tests' probe on that kernel."""

import json
import platform
import re
from pathlib import Path

import pytest

from exporter.compiler.kernel_functions import TYPED_TRACEPOINT
from exporter.events.event_fields import FIELDS, unavailable
from exporter.probe.script_hook import KINDS
from tests.repetition import one_of_each

MARK = "facts: "
SHARED, EVERY = {"compiled", "tracer"}, "every_kernel"


def facts(probe):
    """Return the facts for the row of this kernel."""
    return {
        "release": platform.release(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "bcc": probe.bcc_version,
        "missing": [feature.name for feature in probe.missing],
        "fields": len(FIELDS.keys() - unavailable(probe.missing).keys()),
        "hooks": [kind for kind in KINDS if fires(probe, kind)],
        "failures": failure_hook(probe),
        "typed": probe.program_type == TYPED_TRACEPOINT,
        "verified": verified(),
    }


@pytest.hookimpl(hookwrapper=True)
def pytest_fixture_setup(fixturedef, request):
    """Examine the shared probe before the tests do: compiling another takes too long."""
    made = yield
    if fixturedef.argname == "compiled" and MARK not in request.config.stash:
        request.config.stash[MARK] = facts(made.get_result().probe)


def pytest_addoption(parser):
    parser.addoption(
        "--sharing",
        action="store_true",
        help="only tests that share a probe, and those for every kernel; one of each with several parameters",
    )
    parser.addoption("--facts", help="a file that takes them too")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--sharing"):
        chosen = one_of_each([item for item in items if _is_cheap(item)], _kind)
        config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
        items[:] = chosen


def _is_cheap(item):
    """Return True if the test needs no probe of its own, which takes long to compile."""
    return (
        not item.get_closest_marker("compiles") and SHARED.intersection(item.fixturenames)
    ) or item.get_closest_marker(EVERY)


def _kind(item):
    """Return what all items of a test have in common but for its parameters, such as the hook for scripts."""
    return item.module, item.originalname


def pytest_terminal_summary(terminalreporter, config):
    if MARK in config.stash:
        said = json.dumps(config.stash[MARK])
        terminalreporter.write_line(MARK + said)
        if config.getoption("--facts"):
            Path(config.getoption("--facts")).write_text(said, "utf-8")


def failure_hook(probe):
    """Return the name of the hook that sees failed executions here, or None."""
    probe.attach()
    kind = probe.failure_hook.kind
    probe.detach()
    return kind


def fires(probe, kind):
    """Return True if this hook for scripts works here, tried alone."""
    probe.attach(script_hooks=(kind,))
    fires = bool(probe.script_hook.kind)
    probe.detach()
    return fires


def verified():
    """Return the number of instructions verified for the longest program; None before Linux 5.16."""
    descriptors = [path.read_text() for path in Path("/proc/self/fdinfo").iterdir() if path.exists()]
    return max(
        (int(found[1]) for text in descriptors if (found := re.search(r"verified_insns:\t(\d+)", text))), default=None
    )
