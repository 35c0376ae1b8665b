"""The capabilities of this process: make them effective, and drop them irrevocably.

Capabilities belong to threads: call this before any other thread is started; later threads then have none either.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import logging
from collections.abc import Callable

from exporter.host import libc

log = logging.getLogger(__name__)

CAP_DAC_READ_SEARCH, CAP_SETPCAP, CAP_SYS_PTRACE, CAP_SYS_ADMIN, CAP_PERFMON, CAP_BPF = 2, 8, 19, 21, 38, 39
CAPABILITIES = {
    CAP_DAC_READ_SEARCH: "CAP_DAC_READ_SEARCH",
    CAP_SYS_PTRACE: "CAP_SYS_PTRACE",
    CAP_SYS_ADMIN: "CAP_SYS_ADMIN",
    CAP_PERFMON: "CAP_PERFMON",
    CAP_BPF: "CAP_BPF",
}
CAPABILITY_VERSION_3 = 0x20080522
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 24, 38, 47, 4


def put_into_effect() -> None:
    """Make the permitted capabilities effective. Raise OSError.

    A program whose file has permitted capabilities (setcap ...+p) starts with none in effect. The kernel refuses to
    start one whose file has effective capabilities where it may not have them all, and cannot say why.
    """
    _, permitted = _capget()
    _capset(permitted, permitted)


def drop(works: Callable[[], object], keep: frozenset[int] = frozenset()) -> frozenset[int]:
    """Drop every capability but those to `keep`, irrevocably, and forbid this process and its children new ones.

    `works` reads the maps, or raises OSError if it is not permitted. Before Linux 5.19 reading takes CAP_BPF where
    kernel.unprivileged_bpf_disabled is set (c8644cd0efe7); CAP_BPF is kept there. Return the remaining capabilities.
    Raise OSError.
    """
    _prctl(PR_SET_NO_NEW_PRIVS, 1)
    _prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    effective, permitted = _capget()
    if effective >> CAP_SETPCAP & 1:
        _empty_bounding_set(keep)
    wanted = sum(1 << number for number in keep) & permitted
    _capset(wanted, permitted)
    try:
        works()
    except OSError as error:
        log.debug("reading maps fails without CAP_BPF, which is kept: %s", error)
        wanted |= 1 << (CAP_BPF if permitted >> CAP_BPF & 1 else CAP_SYS_ADMIN) & permitted
    _capset(wanted, wanted)
    return frozenset(number for number in range(64) if wanted >> number & 1)


def _empty_bounding_set(keep: frozenset[int]) -> None:
    with contextlib.suppress(OSError):  # EINVAL: the kernel has no more capabilities
        for number in itertools.count():
            if number not in keep:
                _prctl(PR_CAPBSET_DROP, number)


def _capget() -> tuple[int, int]:
    data = (ctypes.c_uint32 * 6)()
    libc.call("capget", _header(), data)
    effective, permitted, _, effective_high, permitted_high, _ = data
    return effective | effective_high << 32, permitted | permitted_high << 32


def _capset(effective: int, permitted: int) -> None:
    words = (ctypes.c_uint32 * 6)(effective, permitted, 0, effective >> 32, permitted >> 32, 0)
    libc.call("capset", _header(), words)


def _header() -> ctypes.Array[ctypes.c_uint32]:
    return (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)


def _prctl(option: int, argument: int) -> None:
    libc.call("prctl", option, argument, 0, 0, 0)
