"""Chooses what counts failed executions: where execve and execveat return, seen without cost for other system calls.

By fexit or a return probe on the system calls' own functions where the kernel offers it. A tracepoint of a system call
serves where it does not; while it is attached every other system call takes 6 ns more (measured on Linux 6.18 by
getppid(2): 75 ns without it, 81 with it).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from exporter import bpf_syscall, tracepoint
from exporter.btf import BTF
from exporter.script_hook import Detach, HookError, check_symbol

Attach = Callable[[], Detach]

KINDS = ("fexit", "kretprobe", "tracepoint")
NEEDED = 2  # of these; the others are those of 32-bit programs
FUNCTIONS = {
    "x86_64": (
        "__x64_sys_execve",
        "__x64_sys_execveat",
        "__ia32_compat_sys_execve",
        "__ia32_compat_sys_execveat",
    ),
    "aarch64": (
        "__arm64_sys_execve",
        "__arm64_sys_execveat",
        "__arm64_compat_sys_execve",
        "__arm64_compat_sys_execveat",
    ),
}
TRACEPOINTS = ("sys_exit_execve", "sys_exit_execveat")


def candidates(btf: BTF, bpf: Any, load: Callable[[bytes, str], int]) -> dict[str, Attach]:
    """How to attach each kind: it raises HookError or OSError. `bpf` is BCC's; `load` loads a program of it."""
    return {
        "fexit": lambda: _fexit(btf, bpf.dump_func(b"on_exec_returned")),
        "kretprobe": lambda: _kretprobe(bpf),
        "tracepoint": lambda: _tracepoint(load(b"on_exec_returned_tracepoint", "TRACEPOINT")),
    }


def _tracepoint(program: int) -> Detach:
    return _all([partial(tracepoint.attach, name, program) for name in TRACEPOINTS])


def _fexit(btf: BTF, code: bytes) -> Detach:
    ids = btf.functions(_functions())
    for function in _functions()[:NEEDED]:
        if function not in ids:
            raise HookError(f"the kernel's type information has no {function}")

    def attach(btf_id: int) -> Detach:
        link = bpf_syscall.attach_to_function(
            code, bpf_syscall.PROG_TYPE_TRACING, bpf_syscall.TRACE_FEXIT, btf_id, "on_exec_returned"
        )
        return lambda: os.close(link)

    return _all([partial(attach, btf_id) for btf_id in ids.values()])


def _kretprobe(bpf: Any) -> Detach:
    functions = [function for function in _functions() if _is_there(function)]
    for function in _functions()[:NEEDED]:
        check_symbol(function)

    def attach(function: str) -> Detach:
        arguments = {"event": function.encode(), "fn_name": b"on_exec_returned_kretprobe"}
        try:
            bpf.attach_kretprobe(**arguments)
        except Exception as error:  # BCC raises nothing more specific
            raise HookError(os.strerror(ctypes.get_errno())) from error
        return lambda: bpf.detach_kretprobe(**arguments)

    return _all([partial(attach, function) for function in functions])


def _functions() -> tuple[str, ...]:
    return FUNCTIONS.get(platform.machine(), ())


def _is_there(function: str) -> bool:
    try:
        check_symbol(function)
    except HookError:
        return False
    return True


def _all(attaches: Iterable[Attach]) -> Detach:
    """Attaches all of them or, where one cannot be, none."""
    with contextlib.ExitStack() as attached:
        for attach in attaches:
            attached.callback(attach())
        return attached.pop_all().close
    raise AssertionError  # never: mypy asks
