import fcntl
import os
from contextlib import closing
from pathlib import Path

import pytest

from exporter.probe import Tracer
from exporter.program import ProbeSettings
from tests.kernel.running import running
from tests.kernel.tracing import RECORDED, Trace


def pytest_collection_modifyitems(items):
    """The kernel tier needs root; without it every test of it is skipped, and says so."""
    if os.geteuid() == 0:
        return
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=f"the kernel tier needs root, this is uid {os.geteuid()}"))


@pytest.fixture(scope="session", autouse=True)
def alone():
    """One run of the kernel tier at a time: what one leaves behind another would find."""
    with Path("/run/exec_exporter-tests.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="module", params=[True, False], ids=["typed loads", "no typed loads"])
def typed_loads(request):
    """Both ways in which the probe can read the kernel's memory."""
    if request.param and not kernel_has_casts():
        pytest.skip("no typed loads here: the kernel's type information has no bpf_rdonly_cast")
    return request.param


def kernel_has_casts():
    return b"\0bpf_rdonly_cast\0" in Path("/sys/kernel/btf/vmlinux").read_bytes()


@pytest.fixture(scope="module")
def exporter(typed_loads):
    """One probe for a module's tests: each looks only at paths of its own."""
    with running(typed_loads=typed_loads) as exporter:
        yield exporter


@pytest.fixture(scope="module")
def trace(typed_loads):
    settings = ProbeSettings(introductions_pages=2048, argv_bytes=RECORDED, env_bytes=RECORDED, typed_loads=typed_loads)
    with closing(Tracer(settings)) as tracer:
        tracer.attach()
        yield Trace(tracer)
