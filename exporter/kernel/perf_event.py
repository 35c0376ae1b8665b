"""Attaches programs through perf events: to tracepoints of system calls, and by kprobe to functions of the kernel."""

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

TRACEFS = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")
KPROBE = Path("/sys/bus/event_source/devices/kprobe")
SYS_FSOPEN, SYS_FSCONFIG, SYS_FSMOUNT = 430, 431, 432
FSCONFIG_CMD_CREATE = 6
SYS_PERF_EVENT_OPEN = {"x86_64": 298, "aarch64": 241}
PERF_TYPE_TRACEPOINT, PERF_FLAG_FD_CLOEXEC = 2, 8
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


def attach_to_tracepoint(name: str, program: int) -> int:
    """Attach a loaded program to syscalls:<name>; closing the returned descriptor detaches it.

    Works without a mounted tracefs, which BCC needs. Raise HookError or OSError.
    """
    return _attach(_PerfEvent(type=PERF_TYPE_TRACEPOINT, config=_number(name), sample_period=1), program)


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


def _number(name: str) -> int:
    """Return the kernel's number of a tracepoint."""
    path = f"events/syscalls/{name}/id"
    for directory in TRACEFS:
        if os.path.exists(f"{directory}/events"):  # noqa: PTH110 - False where it is forbidden
            try:
                with open(f"{directory}/{path}", encoding="ascii") as file:  # noqa: PTH123 - as above
                    return int(file.read())
            except OSError as error:
                raise HookError(f"cannot read {error.filename} ({error.strerror})") from error
    root = _private_tracefs()
    try:
        with open(path, encoding="ascii", opener=lambda name, flags: os.open(name, flags, dir_fd=root)) as file:
            return int(file.read())
    finally:
        os.close(root)


def _private_tracefs() -> int:
    """Return a descriptor of the root of a tracefs that is mounted nowhere. Needs CAP_SYS_ADMIN. Raise HookError."""
    try:
        context = libc.call("syscall", SYS_FSOPEN, b"tracefs", 1)
        try:
            libc.call("syscall", SYS_FSCONFIG, context, FSCONFIG_CMD_CREATE, None, None, 0)
            return libc.call("syscall", SYS_FSMOUNT, context, 1, 0)
        finally:
            os.close(context)
    except OSError as error:
        raise HookError(f"tracefs is not mounted at {TRACEFS[0]}, and cannot be ({error.strerror})") from error
