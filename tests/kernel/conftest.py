import os
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from exporter.collectors.flags import SeriesOptions
from exporter.probe.program import ProbeSettings, load_tracer
from tests import compiled as compiled_probes
from tests.alone import alone
from tests.kernel.running import running
from tests.kernel.scale import EMULATED
from tests.kernel.tracing import RECORDED, Trace
from tests.repetition import EXHAUSTIVE

compiled_probes.share()


@pytest.fixture
def public_directory():
    """Yield a directory that all users can enter; other runs of pytest close the one above `tmp_path` to them."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


@pytest.fixture
def cold(monkeypatch, tmp_path):
    """Have exporters compile: no other start has left something."""
    monkeypatch.setenv(compiled_probes.VARIABLE, str(tmp_path / "compiled"))


def pytest_collection_modifyitems(config, items):
    """Skip the tests of this tier, with a reason, unless run as root."""
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
    """Return True for a test with plain reads where the kernel accepts typed loads, unless the test asks for both."""
    way = getattr(item, "callspec", None) and item.callspec.params.get("typed_loads")
    return way is False and True in ways_of_reading() and not item.get_closest_marker("both_ways")


def pytest_collection_finish(session):
    """Take the lock of probes here, so that waiting does not count as the time of a test."""
    if os.geteuid() == 0 and any(Path(__file__).parent in item.path.parents for item in session.items):
        alone()


NO_LIMIT = 1_000_000  # of series: tests share the probe, and shall not exhaust each other's room


def ways_of_reading():
    """Return the ways to read the kernel's memory: with typed loads, where the kernel accepts them, and without."""
    btf = Path("/sys/kernel/btf/vmlinux")
    typed = btf.exists() and b"\0bpf_rdonly_cast\0" in btf.read_bytes()
    return [True, False][not typed : 1 if EMULATED and typed else 2]


@pytest.fixture(scope="session", params=ways_of_reading(), ids=lambda typed: "typed" if typed else "untyped")
def typed_loads(request):
    """Return each way in which the probe can read the kernel's memory here; only the best one in an emulator."""
    return request.param


@pytest.fixture(scope="session")
def compiled(typed_loads):
    """Yield a probe for all tests that can share it; it is detached until they attach it."""
    with running(SeriesOptions(limit=NO_LIMIT), typed_loads=typed_loads) as exporter:
        exporter.probe.detach()
        yield exporter


@pytest.fixture(scope="module")
def exporter(compiled):
    """Yield the shared probe, attached for the tests of a module: each examines paths of its own."""
    compiled.probe.attach()
    yield compiled
    compiled.probe.detach()


@pytest.fixture(scope="session")
def tracer(typed_loads):
    sizes = {"ring_buffer_pages": 2048, "argv_bytes": RECORDED, "env_bytes": RECORDED}
    settings = ProbeSettings(**sizes, typed_loads=typed_loads, cache_path=compiled_probes.DIRECTORY)
    with closing(load_tracer(settings)) as tracer:
        yield tracer


@pytest.fixture(scope="module")
def trace(tracer):
    tracer.attach()
    yield Trace(tracer)
    tracer.detach()
    tracer.introductions()
