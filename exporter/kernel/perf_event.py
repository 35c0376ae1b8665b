"""Attaches programs by kprobe to functions of the kernel, through perf events."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import platform
import re
from pathlib import Path

from exporter.host import libc
from exporter.kernel import bpf_syscall
from exporter.kernel.symbols import HookError

KPROBE = Path("/sys/bus/event_source/devices/kprobe")
SYS_PERF_EVENT_OPEN = {"x86_64": 298, "aarch64": 241}
PERF_FLAG_FD_CLOEXEC = 8
IOC_ENABLE, IOC_SET_BPF = 0x2400, 0x40042408


class _PerfEvent(ctypes.Structure):
    """The part of struct perf_event_attr that is needed; include/uapi/linux/perf_event.h, version 1."""

    _fields_ = (
        ("type", ctypes.c_uint32),
        ("size", ctypes.c_uint32),
        ("config", ctypes.c_uint64),
        ("sample_period", ctypes.c_uint64),
        ("sample_type", ctypes.c_uint64),
        ("read_format", ctypes.c_uint64),
        ("flags", ctypes.c_uint64),
        ("wakeup_events", ctypes.c_uint32),
        ("bp_type", ctypes.c_uint32),
        ("config1", ctypes.c_uint64),
        ("config2", ctypes.c_uint64),
    )


def attach_to_function(function: str, program: int, *, returning: bool = False) -> int:
    """Attach a loaded program to the start or return of a function; closing the returned descriptor detaches it.

    Raise HookError or OSError.
    """
    try:
        kind = int((KPROBE / "type").read_text("ascii"))
        bit = re.findall(r"\d+", (KPROBE / "format/retprobe").read_text("ascii"))[0]
    except OSError as error:
        raise HookError("this kernel has no kprobes") from error
    name = ctypes.create_string_buffer(function.encode("ascii"))
    config = 1 << int(bit) if returning else 0
    return _attach(_PerfEvent(type=kind, config=config, config1=ctypes.addressof(name)), program)


def _attach(attributes: _PerfEvent, program: int) -> int:
    """Return a link, which can be pinned; before Linux 5.15 (b89fbfbb854c) the event itself, which cannot."""
    attributes.size = ctypes.sizeof(_PerfEvent)
    number = SYS_PERF_EVENT_OPEN[platform.machine()]
    event = libc.call("syscall", number, ctypes.byref(attributes), -1, 0, -1, PERF_FLAG_FD_CLOEXEC)
    try:
        try:
            link = bpf_syscall.attach_to_perf_event(program, event)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            fcntl.ioctl(event, IOC_SET_BPF, program)
            fcntl.ioctl(event, IOC_ENABLE, 0)
            return event
        os.close(event)  # the link holds it
    except OSError:
        os.close(event)
        raise
    return link
