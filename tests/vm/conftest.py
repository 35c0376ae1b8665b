"""Guests boot in the order in which tests need them, while other tests run.

KERNELS=all in the environment selects the whole matrix; by default, the oldest and the newest kernel boot.
"""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.vm.archive import ArchiveError, mirrors
from tests.vm.fetch import fetch
from tests.vm.guest import USUAL, Deadlines, Machine, boot
from tests.vm.kernels import MATRIX, NATIVE
from tests.vm.support import Support
from tests.vm.user_space import CHECKOUT, prepare

WHOLE_MATRIX = os.environ.get("KERNELS") == "all"
GUESTS_AT_ONCE = 2 if WHOLE_MATRIX else 1  # the kernel tier of this machine needs the other core
KERNELS = [kernel for kernel in MATRIX if WHOLE_MATRIX or kernel.arch == NATIVE]
NEEDED = ("apt-get", "depmod", "modprobe", "busybox", "zstd", "lz4", "unshare")
QEMU = {"amd64": "qemu-system-x86_64", "arm64": "qemu-system-aarch64"}
SBIN = "/usr/sbin:/sbin"
SAID = CHECKOUT / ".cache/guests"
SUPPORT = Support()


@dataclass(frozen=True)
class Boot:
    """A command in a guest."""

    name: str
    machine: Machine
    command: str
    deadlines: Deadlines = USUAL


def lacking():
    """Return what is missing to boot guests: root for mounts, commands, an archive that has Debian's kernels."""
    if os.geteuid() != 0:
        yield f"root (this is uid {os.geteuid()})"
    path = f"{os.environ['PATH']}:{SBIN}"
    for command in (*NEEDED, *{QEMU[kernel.arch] for kernel in KERNELS}):
        if shutil.which(command, path=path) is None:
            yield command
    if not all((kernel.directory / "release").exists() for kernel in KERNELS):
        try:
            mirrors()
        except ArchiveError as error:
            yield f"{error}"


def pytest_collection_modifyitems(items):
    """Skip the tests, with a reason, if guests cannot boot here."""
    reasons = list(lacking())
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(7200))  # a guest has its own deadline, and may wait for others
            if reasons:
                item.add_marker(pytest.mark.skip(reason=f"tests of other kernels need {', '.join(reasons)}"))


@pytest.fixture(scope="session")
def kernels():
    """Return the kernels of the matrix that this run needs, from the cache."""
    fetch(KERNELS, newest=WHOLE_MATRIX)


@pytest.fixture(scope="session")
def guests(request, kernels):
    """Return the results of all boots that the tests of this run need."""
    items = [item for item in request.session.items if hasattr(item, "callspec")]
    boots = dict.fromkeys(item.callspec.params["boot"] for item in items if "boot" in item.callspec.params)
    for arch in {one.machine.kernel.arch for one in boots} - {NATIVE}:
        prepare(arch)
    with ThreadPoolExecutor(GUESTS_AT_ONCE) as pool:
        futures = {one: pool.submit(_boot, one) for one in boots}
        try:
            yield futures
        finally:
            for future in futures.values():
                future.cancel()


def _boot(one):
    """Boot a guest and keep its output, to be read while others still run."""
    result = boot(one.machine, one.command, one.deadlines)
    SAID.mkdir(parents=True, exist_ok=True)
    (SAID / one.name.replace(" ", "-")).write_text(f"{result.output}\nstatus {result.status}, {result.seconds:.0f} s\n")
    return result


@pytest.fixture
def result(boot, guests):
    """Return the result of the boot that the test asks for."""
    return guests[boot].result()


def pytest_sessionfinish():
    """Write the table of docs/kernels.md if all of the matrix has passed."""
    if WHOLE_MATRIX:
        SUPPORT.publish()
