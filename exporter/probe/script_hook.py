"""The hook by which scripts are identified by their own file: the first candidate that attaches and fires.

A hook can attach and never fire: a kprobe that is disarmed, a function that was inlined where it matters, tracing
that is switched off. So each is tried with an exec that reaches the hook and then fails.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from exporter.kernel import bpf_syscall, perf_event
from exporter.kernel.bpf_map import Map
from exporter.kernel.bpf_syscall import ProgramKind
from exporter.kernel.map_reader import read_entries
from exporter.kernel.symbols import HookError, Symbols
from exporter.probe.bpf_object import BPFObject
from exporter.probe.canary import canary
from exporter.probe.hooks import Attach

FUNCTION = "security_bprm_creds_for_exec"
LSM_FUNCTION = "bpf_lsm_bprm_creds_for_exec"
KINDS = ("fentry", "kprobe", "lsm")  # cheapest first; LSM needs "bpf" on the kernel's list of security modules
PROGRAM, KPROBE_PROGRAM = "on_creds_for_exec", "on_creds_for_exec_kprobe"


def candidates(ids: Mapping[str, int], symbols: Symbols, bpf: BPFObject, *, registers: bool) -> dict[str, Attach]:
    """Return how to attach each kind.

    `ids` are those of functions in the kernel's BTF; without `registers` in it, a kprobe cannot read its argument.
    """
    return {
        "fentry": lambda: _attach(ids, symbols, bpf, FUNCTION, bpf_syscall.PROG_TYPE_TRACING, bpf_syscall.TRACE_FENTRY),
        "kprobe": lambda: _kprobe(symbols, bpf, registers=registers),
        "lsm": lambda: _attach(ids, symbols, bpf, LSM_FUNCTION, bpf_syscall.PROG_TYPE_LSM, bpf_syscall.LSM_MAC),
    }


def _attach(
    ids: Mapping[str, int], symbols: Symbols, bpf: BPFObject, function: str, program_type: int, attach_type: int
) -> list[int]:
    symbols.check(function)
    if function not in ids:
        raise HookError(f"the kernel's type information has no {function}")
    program = bpf_syscall.load(bpf.code(PROGRAM), ProgramKind(program_type, attach_type, ids[function]), PROGRAM)
    try:
        return [bpf_syscall.attach(program)]
    finally:
        os.close(program)  # the link holds it


def _kprobe(symbols: Symbols, bpf: BPFObject, *, registers: bool) -> list[int]:
    if not registers:
        raise HookError("the kernel's type information has no registers")
    symbols.check(FUNCTION)
    program = bpf.load(KPROBE_PROGRAM, ProgramKind(bpf_syscall.PROG_TYPE_KPROBE))
    return [perf_event.attach_to_function(FUNCTION, program)]


def fires(opened: Map) -> bool:
    """Return True if an exec leaves an entry in the map of opened files. Raise OSError, HookError."""
    for key in [key for key, _ in read_entries(opened)]:
        opened.remove(key)
    canary()
    return any(True for _ in read_entries(opened))
