import os
from contextlib import closing
from pathlib import Path

import pytest

from exporter.probe import Tracer
from exporter.program import ProbeSettings
from tests.alone import alone
from tests.kernel.running import running
from tests.kernel.scale import EMULATED
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


# A guest reads as its kernel lets the probe; here both ways are tried.
@pytest.fixture(scope="session", params=[True] if EMULATED else [True, False], ids=lambda typed: f"typed={typed}")
def typed_loads(request):
    """Whether the probe reads the kernel's memory with typed loads."""
    if request.param and not EMULATED and not kernel_has_casts():
        pytest.skip("no typed loads here: the kernel's type information has no bpf_rdonly_cast")
    return request.param


def kernel_has_casts():
    return b"\0bpf_rdonly_cast\0" in Path("/sys/kernel/btf/vmlinux").read_bytes()


@pytest.fixture(scope="session")
def compiled(typed_loads):
    """One probe for all tests that can share it; it is detached until they attach it."""
    with running(typed_loads=typed_loads) as exporter:
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
    settings = ProbeSettings(introductions_pages=2048, argv_bytes=RECORDED, env_bytes=RECORDED, typed_loads=typed_loads)
    with closing(Tracer(settings)) as tracer:
        yield tracer


@pytest.fixture(scope="module")
def trace(tracer):
    tracer.attach()
    yield Trace(tracer)
    tracer.detach()
    tracer.introductions()
