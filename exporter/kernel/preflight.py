"""What has to be true of the machine before BCC is asked: BCC's own words would not say what is missing."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from exporter.errors import ExporterError
from exporter.host.capabilities import CAP_BPF, CAP_PERFMON, CAP_SYS_ADMIN, CAPABILITIES
from exporter.kernel.bpf_syscall import SYS_BPF

BPF_MAP_CREATE = 0
BPF_MAP_TYPE_RINGBUF = 27


def check(status: Path = Path("/proc/self/status"), lockdown: Path = Path("/sys/kernel/security/lockdown")) -> None:
    """Raises ExporterError for what is missing: capabilities, kernel lockdown, ring buffers."""
    _check_capabilities(status.read_text("ascii"))
    if lockdown.exists():
        _check_lockdown(lockdown.read_text("ascii"))
    _check_ring_buffer()


def missing_capabilities(status: str) -> list[str]:
    """Which of the capabilities needed the effective set in /proc/<pid>/status lacks."""
    effective = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff:"))
    if effective >> CAP_SYS_ADMIN & 1:
        return []
    return [CAPABILITIES[bit] for bit in (CAP_BPF, CAP_PERFMON) if not effective >> bit & 1]


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
    """Makes a ring buffer and drops it again: the only way to know is to try."""
    number = SYS_BPF.get(os.uname().machine)
    if number is None:
        raise ExporterError(
            f"exec_exporter does not know the machine {os.uname().machine}", "run it on x86_64 or aarch64"
        )
    size = os.sysconf("SC_PAGE_SIZE")
    attributes = (ctypes.c_uint32 * 32)(BPF_MAP_TYPE_RINGBUF, 0, 0, size)
    fd = ctypes.CDLL(None, use_errno=True).syscall(number, BPF_MAP_CREATE, attributes, ctypes.sizeof(attributes))
    if fd < 0:
        raise ExporterError(
            f"the kernel made no BPF ring buffer ({os.strerror(ctypes.get_errno())})",
            "exec_exporter needs Linux 5.8 or newer, and a seccomp profile that allows bpf(2)",
        )
    os.close(fd)
