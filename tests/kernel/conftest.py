import os
from contextlib import closing
from pathlib import Path

import pytest

from exporter.collectors.flags import SeriesOptions
from exporter.probe.program import ProbeSettings, load_tracer
from tests.alone import alone
from tests.kernel.running import running
from tests.kernel.scale import EMULATED
from tests.kernel.tracing import RECORDED, Trace
from tests.repetition import EXHAUSTIVE


def pytest_collection_modifyitems(config, items):
    """The kernel tier needs root; without it every test of it is skipped, and says so."""
    if not (EXHAUSTIVE or EMULATED):
        repeated = [item for item in items if _repeats(item)]
        config.hook.pytest_deselected(items=repeated)
        items[:] = [item for item in items if item not in repeated]
    if os.geteuid() == 0:
        return
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=f"the kernel tier needs root, this is uid {os.geteuid()}"))


def _repeats(item):
    """The other way of reading memory than the one that this kernel allows, in a test that does not ask for both."""
    way = getattr(item, "callspec", None) and item.callspec.params.get("typed_loads")
    return way is False and True in ways_of_reading() and not item.get_closest_marker("both_ways")


def pytest_collection_finish(session):
    """What one run leaves behind another would find. Waits here, where no test's time runs."""
    if os.geteuid() == 0 and any(Path(__file__).parent in item.path.parents for item in session.items):
        alone()


NO_LIMIT = 1_000_000  # of series: the paths of one test take no room from those of another


def ways_of_reading():
    """How the probe can read the kernel's memory: by typed loads, where there are casts for them, and without."""
    btf = Path("/sys/kernel/btf/vmlinux")
    typed = btf.exists() and b"\0bpf_rdonly_cast\0" in btf.read_bytes()
    return [True, False][not typed : 1 if EMULATED and typed else 2]


@pytest.fixture(scope="session", params=ways_of_reading(), ids=lambda typed: "typed" if typed else "untyped")
def typed_loads(request):
    """Each of the ways in which the probe can read the kernel's memory here; the best one where all takes long."""
    return request.param


@pytest.fixture(scope="session")
def compiled(typed_loads):
    """One probe for all tests that can share it; it is detached until they attach it."""
    with running(SeriesOptions(limit=NO_LIMIT), typed_loads=typed_loads) as exporter:
        exporter.probe.detach()
        yield exporter


@pytest.fixture(scope="module")
def exporter(compiled):
    """That probe, attached for a module's tests: each looks only at paths of its own."""
    compiled.probe.attach()
    yield compiled
    compiled.probe.detach()


@pytest.fixture(scope="session")
def tracer(typed_loads):
    settings = ProbeSettings(ring_buffer_pages=2048, argv_bytes=RECORDED, env_bytes=RECORDED, typed_loads=typed_loads)
    with closing(load_tracer(settings)) as tracer:
        yield tracer


@pytest.fixture(scope="module")
def trace(tracer):
    tracer.attach()
    yield Trace(tracer)
    tracer.detach()
    tracer.introductions()
