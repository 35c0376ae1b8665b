"""The lock of test runs with probes: probes see the whole machine, so only one run at a time may have some."""

import fcntl
import functools
from pathlib import Path

LOCK = "/run/exec_exporter-tests.lock"


@functools.cache
def alone():
    """Wait until no other run of tests has probes, and make others wait until this process ends."""
    file = Path(LOCK).open("w")  # noqa: SIM115 - as long as this process
    fcntl.flock(file, fcntl.LOCK_EX)
    return file
