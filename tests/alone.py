"""The kernel's probes are not a process's own: one run of tests with probes at a time."""

import fcntl
import functools
from pathlib import Path

LOCK = "/run/exec_exporter-tests.lock"


@functools.cache
def alone():
    """Waits until no other run of tests has probes, and keeps others waiting until this process ends."""
    file = Path(LOCK).open("w")  # noqa: SIM115 - as long as this process
    fcntl.flock(file, fcntl.LOCK_EX)
    return file
