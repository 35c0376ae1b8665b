"""Checks of the machine before BCC is called, whose own errors do not name the cause."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from exporter.errors import REMEDIES, ExporterError, attempt, remedy_of
from exporter.host import limits
from exporter.host.capabilities import CAP_BPF, CAP_PERFMON, CAP_SYS_ADMIN, CAPABILITIES
from exporter.kernel.bpf_map import RINGBUF, Map
from exporter.kernel.perf_event import SYS_PERF_EVENT_OPEN

OPEN_FILES = 64  # of the start; connections come on top


def check(status: Path = Path("/proc/self/status"), lockdown: Path = Path("/sys/kernel/security/lockdown")) -> None:
    """Raise ExporterError for the first unmet requirement: machine, capabilities, no lockdown, libbpf, ring buffers."""
    _check_machine(os.uname().machine)
    _check_open_files()
    with attempt("check this process", "mount /proc"):
        _check_capabilities(status.read_text("ascii"))
    if lockdown.exists():
        _check_lockdown(lockdown.read_text("ascii"))
    _check_ring_buffer()


def missing_capabilities(status: str) -> list[str]:
    """Return the names of required capabilities that the effective set in a /proc/<pid>/status lacks."""
    effective = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff:"))
    if effective >> CAP_SYS_ADMIN & 1:
        return []
    return [CAPABILITIES[bit] for bit in (CAP_BPF, CAP_PERFMON) if not effective >> bit & 1]


def _check_machine(machine: str) -> None:
    if machine not in SYS_PERF_EVENT_OPEN:
        raise ExporterError(f"exec_exporter does not know the machine {machine}", "run it on x86_64 or aarch64")


def _check_open_files() -> None:
    allowed = limits.raise_open_files(OPEN_FILES)
    if allowed < OPEN_FILES:
        raise ExporterError(
            f"the process may open only {allowed} files, and needs {OPEN_FILES}", REMEDIES[errno.EMFILE]
        )


def _check_capabilities(status: str) -> None:
    missing = missing_capabilities(status)
    if missing:
        raise ExporterError(
            f"not permitted to load BPF programs: {' and '.join(missing)} missing",
            "run as root, or give the process CAP_BPF and CAP_PERFMON",
        )


def _check_lockdown(text: str) -> None:
    if "[confidentiality]" in text:
        raise ExporterError(
            "kernel lockdown is in confidentiality mode, in which no BPF program may read kernel memory",
            "boot with lockdown=integrity or none",
        )


def _check_ring_buffer() -> None:
    """Create a ring buffer and close it again: there is no other way to find out."""
    try:
        os.close(Map.create(RINGBUF, 0, 0, os.sysconf("SC_PAGE_SIZE")).fd)
    except OSError as error:
        needs = "exec_exporter needs Linux 5.8 or newer, and a seccomp profile that allows bpf(2)"
        if error.errno == errno.EPERM:  # before Linux 5.11, BPF memory counts as locked memory
            needs = (
                "allow bpf(2) in its seccomp profile; before Linux 5.11 also ulimit -l unlimited, LimitMEMLOCK=infinity"
            )
        raise ExporterError(
            f"the kernel made no BPF ring buffer ({error.strerror})", remedy_of(error, needs)
        ) from error
