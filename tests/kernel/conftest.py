import os
from contextlib import closing
from pathlib import Path

import pytest

from exporter.probe import Tracer
from exporter.program import ProbeSettings
from tests.alone import alone
from tests.kernel.running import running
from tests.kernel.tracing import RECORDED, Trace


def pytest_collection_modifyitems(items):
    """The kernel tier needs root; without it every test of it is skipped, and says so."""
    if os.geteuid() == 0:
        return
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=f"the kernel tier needs root, this is uid {os.geteuid()}"))


def pytest_collection_finish(session):
    """What one run leaves behind another would find. Waits here, where no test's time runs."""
    if os.geteuid() == 0 and any(Path(__file__).parent in item.path.parents for item in session.items):
        alone()


@pytest.fixture(scope="module")
def exporter():
    """One probe for a module's tests: each looks only at paths of its own."""
    with running() as exporter:
        yield exporter


@pytest.fixture(scope="module")
def trace():
    settings = ProbeSettings(introductions_pages=2048, argv_bytes=RECORDED, env_bytes=RECORDED)
    with closing(Tracer(settings)) as tracer:
        tracer.attach()
        yield Trace(tracer)
