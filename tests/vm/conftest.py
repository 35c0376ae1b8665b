"""Guests boot two at a time in the order in which tests want them, while earlier tests look at theirs.

KERNELS=all in the environment asks for the whole matrix; without it a few guests show the edges.
"""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.vm.fetch import fetch
from tests.vm.guest import Machine, boot
from tests.vm.kernels import MATRIX, NATIVE
from tests.vm.support import SUPPORT, write
from tests.vm.user_space import prepare

GUESTS_AT_ONCE = 2
WHOLE_MATRIX = os.environ.get("KERNELS") == "all"


@dataclass(frozen=True)
class Boot:
    """A command in a guest."""

    name: str
    machine: Machine
    command: str
    timeout_seconds: float = 300


def pytest_collection_modifyitems(items):
    """What stands against booting here is said, and checked: root for mounts, apt for kernels."""
    lacking = []
    if os.geteuid() != 0:
        lacking.append(f"root (this is uid {os.geteuid()})")
    lacking += [command for command in ("apt-get", "depmod") if shutil.which(command) is None]
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(7200))  # a guest has its own timeout, and may have to wait for others
            if lacking:
                item.add_marker(pytest.mark.skip(reason=f"tests of other kernels need {', '.join(lacking)}"))


@pytest.fixture(scope="session")
def kernels():
    """All kernels of the matrix, in the cache."""
    fetch(MATRIX, newest=WHOLE_MATRIX)


@pytest.fixture(scope="session")
def guests(request, kernels):
    """What comes of each boot that the tests of this run want."""
    items = [item for item in request.session.items if hasattr(item, "callspec")]
    boots = dict.fromkeys(item.callspec.params["boot"] for item in items if "boot" in item.callspec.params)
    for arch in {one.machine.kernel.arch for one in boots} - {NATIVE}:
        prepare(arch)
    with ThreadPoolExecutor(GUESTS_AT_ONCE) as pool:
        futures = {one: pool.submit(boot, one.machine, one.command, one.timeout_seconds) for one in boots}
        try:
            yield futures
        finally:
            for future in futures.values():
                future.cancel()


@pytest.fixture
def result(boot, guests):
    """The result of the boot that the test asks for."""
    return guests[boot].result()


def pytest_sessionfinish():
    """The table of kernels in the README is what the whole matrix has shown, and nothing less."""
    if WHOLE_MATRIX and set(SUPPORT) == {kernel.name for kernel in MATRIX}:
        write({kernel.name: SUPPORT[kernel.name] for kernel in MATRIX})
