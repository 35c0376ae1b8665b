"""A program on `sched_process_exec`: compiled, loaded, attached; and the ring buffer that it fills with records."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import sys
from dataclasses import dataclass, replace

from exporter.compiler.compile import Compiled, compile_source, not_loaded
from exporter.compiler.ctypes_layout import Description, layout
from exporter.compiler.kernel_facts import KernelNeeds
from exporter.compiler.kernel_types import Feature
from exporter.compiler.typed_loads import RAW_TRACEPOINT, TYPED_TRACEPOINT
from exporter.errors import ExporterError
from exporter.kernel import bpf_syscall
from exporter.kernel.bpf_map import Map, possible_cpus
from exporter.kernel.bpf_syscall import ProgramKind, statistic
from exporter.kernel.ring_buffer import RingBuffer
from exporter.probe import failure_hook, script_hook
from exporter.probe.attachments import Attachments
from exporter.probe.bpf_object import BPFObject
from exporter.probe.exec_header import BPF_DIRECTORY, Layouts, vocabulary
from exporter.probe.features import FEATURES
from exporter.probe.flags import ProbeOptions

log = logging.getLogger(__name__)

TRACEPOINT = "sched_process_exec"
PROGRAM = "on_exec"
RAW = ProgramKind(bpf_syscall.PROG_TYPE_RAW_TRACEPOINT)
TYPED = bpf_syscall.PROG_TYPE_TRACING, bpf_syscall.TRACE_RAW_TP


@dataclass(frozen=True)
class ProbeSettings(ProbeOptions):
    """Sizes and features of the probe.

    `hash_key` is 16 secret bytes, without which names cannot be made to collide; made anew if empty.
    `argv_bytes` and `env_bytes` of each record's arguments and environment are recorded: they hold secrets.
    `collect` names what is counted beside executions; the rest is neither compiled nor attached.
    `without` names features that are left out, as on a kernel that lacks them; `script_hooks` and `failure_hooks` are
    tried in turn.
    `typed_loads` are used where the kernel has them; without them a program counts the same and costs more.
    """

    hash_key: bytes = b""
    argv_bytes: int = 0
    env_bytes: int = 0
    without: frozenset[str] = frozenset()
    collect: frozenset[str] = frozenset({"processes", "arguments", "forks", "failures", "traits"})
    script_hooks: tuple[str, ...] = script_hook.KINDS
    failure_hooks: tuple[str, ...] = failure_hook.KINDS
    typed_loads: bool = True


@dataclass(frozen=True)
class Loaded:
    """A source that is compiled and loaded, with the key of its path hashes, and what it collects.

    `digest` says what it was made from.
    """

    compiled: Compiled
    bpf: BPFObject
    hash_key: bytes
    digest: str = ""
    collect: frozenset[str] = frozenset()


class LoadedProbe:
    """A BPF program on `sched_process_exec`, with a ring buffer of records.

    With `attachments` what is attached stays so when this process ends.
    """

    def __init__(self, loaded: Loaded, attachments: Attachments | None = None) -> None:
        self.loaded, self._attachments = loaded, attachments
        self._compiled, self._object = loaded.compiled, loaded.bpf
        self.program_type = TYPED_TRACEPOINT if self._compiled.typed else RAW_TRACEPOINT
        self.bcc_version = self._compiled.bcc_version
        self.missing: tuple[Feature, ...] = self._compiled.kernel.missing
        self._maps = self._object.maps
        self._links: dict[str, int] = {}
        self._records: list[bytes] = []
        self._ring = RingBuffer(self._maps["records"].fd, self._records.append)
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll = select.epoll()
        self._poll.register(self._wake, select.EPOLLIN)
        self._poll.register(self._maps["records"].fd, select.EPOLLIN)
        counters = self._compiled.vocabulary["counter"]
        self._counters = {number: name for name, number in counters.items() if name != "COUNTERS"}
        introduction = layout(_member(self._compiled.maps["scratch"].value, "introduction"))
        self.layouts = Layouts(dict(introduction._fields_)["key"], introduction)
        self.attached = False

    @property
    def typed_loads(self) -> bool:
        """Whether the kernel's memory is read with typed loads."""
        return self.program_type == TYPED_TRACEPOINT

    def attach(self) -> None:
        """Starts counting. Raises ExporterError where the kernel has no raw tracepoints."""
        typed = ProgramKind(*TYPED, self._compiled.kernel.tracepoint or 0)
        self._attach(TRACEPOINT, PROGRAM, typed if self.typed_loads else RAW)
        self.attached = True

    def _attach(self, tracepoint: str, name: str, kind: ProgramKind = RAW) -> None:
        """Attaches a program, loaded as that kind, to a raw tracepoint."""
        program = self._object.programs[name]
        try:
            if self._attachments:
                self._attachments.attach(tracepoint, name, program, kind)
            else:
                self._links[name] = bpf_syscall.attach(program, b"" if kind.btf_id else tracepoint.encode("ascii"))
        except OSError as error:
            raise ExporterError(
                f"the kernel refused to attach to the raw tracepoint {tracepoint} ({error.strerror})",
                "exec_exporter needs Linux 5.8 or newer with CONFIG_BPF_EVENTS=y",
            ) from error

    def detach(self) -> None:
        """Stops counting, unless what is attached is pinned; what has been counted can still be read."""
        for link in self._links.values():
            os.close(link)
        self._links = {}
        self.attached = False

    def close(self) -> None:
        """Stops counting and gives everything back to the kernel; may be called again."""
        if not self._poll.closed:
            self._poll.close()
            os.close(self._wake)
            self.detach()
            self._ring.close()
            self._object.close()
            if self._attachments:
                self._attachments.close()

    def _counted(self) -> dict[str, int]:
        """The program's counters, summed over CPUs, by their names in exec.h."""
        table = self._maps["counters"]
        return {name: _sum(table.at(number)) for number, name in self._counters.items()}

    def counters(self) -> dict[str, int]:
        """The counters by name, and with them executions that the kernel did not show.

        Since 7.0 (a46023d5616e "tracing: Guard __DECLARE_TRACE() use of __DO_TRACE_CALL() with SRCU-fast") a task can
        be preempted while it runs the program, and the kernel skips it for what executes meanwhile on that CPU.
        """
        counters = self._counted()
        skipped = self._statistic(PROGRAM, "recursion_misses")
        counters["COUNTER_LOST_PREEMPTED"] += skipped
        counters["COUNTER_PROBE_RUNS"] += skipped
        return counters

    def _statistic(self, program: str, name: str) -> int:
        """What the kernel says of a program that is loaded; 0 where it has no such statistic."""
        attached = self._attachments.dispatchers if self._attachments else {}
        descriptor = attached.get(program, self._object.programs[program])
        return statistic(descriptor, name)

    def _run_seconds(self, program: str) -> float:
        """Time spent in a program that is loaded, in seconds."""
        return self._statistic(program, "run_time_ns") / 1e9

    def introductions(self) -> list[bytes]:
        """The records that came since the last call. One caller at a time."""
        self._ring.consume()
        records = self._records.copy()
        self._records.clear()
        return records

    def wait(self, timeout_seconds: float) -> bool:
        """Waits until a record comes, `interrupt` is called or the time is over; whether one came."""
        ready = [fd for fd, _ in self._poll.poll(timeout_seconds)]
        if self._wake in ready:
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self._wake)
        return any(fd != self._wake for fd in ready)

    def interrupt(self) -> None:
        """Ends a `wait`: in another thread, or from a signal handler."""
        os.eventfd_write(self._wake, 1)


def _member(description: Description, name: str) -> Description:
    """What describes a member of a struct."""
    return next(member[1] for member in description[1] if member[0] == name)


def _sum(values: list[bytes]) -> int:
    return sum(int.from_bytes(value, sys.byteorder) for value in values)


def load(source: str, settings: ProbeSettings, before: Loaded | None = None) -> Loaded:
    """Compiles a source and loads its program: with typed loads, if the kernel takes them. Raises ExporterError.

    It gets those maps of the one `before` it that are the same in both, and its key of path hashes if the settings have
    none.
    """
    key = settings.hash_key or (before.hash_key if before else os.urandom(16))
    functions = script_hook.FUNCTION, script_hook.LSM_FUNCTION, *failure_hook.functions()
    needs = KernelNeeds(TRACEPOINT, functions, FEATURES, settings.without)
    for typed in (True, False) if settings.typed_loads else (False,):
        compiled = compile_source(BPF_DIRECTORY / source, definitions(settings, key), needs, typed=typed)
        compiled = replace(compiled, vocabulary=vocabulary())
        kernel = compiled.kernel
        bpf = BPFObject(compiled, _shared(compiled, before) if before else None)
        try:
            bpf.load(PROGRAM, ProgramKind(*TYPED, kernel.tracepoint or 0) if compiled.typed else RAW)
        except OSError as error:
            bpf.close()
            said = "\n".join((*getattr(error, "__notes__", ()), str(error)))
            if not compiled.typed:
                raise not_loaded(said) from error
            log.debug("typed loads: %s", said)
        else:
            return Loaded(compiled, bpf, key, collect=settings.collect)
    raise AssertionError  # never: mypy asks


# Collectors that exec.c is compiled with or without.
COLLECTED = "arguments", "preload", "processes", "traits"
# What a program keeps for itself alone, or is told anew.
OWN = frozenset({"scratch", "settings", "misc_interpreters", "script_hook"})


def _shared(compiled: Compiled, before: Loaded) -> dict[str, Map]:
    """The maps of the one before, by new descriptors, that have the same size and layout, and mean the same."""
    if compiled.vocabulary != before.compiled.vocabulary:
        return {}
    old = before.compiled.maps
    same = {
        name: before.bpf.maps[name]
        for name, new in compiled.maps.items()
        if name in old
        and name not in OWN
        and replace(old[name], info=new.info) == new
        and old[name].info._replace(id=0) == new.info._replace(id=0)
    }
    return {name: replace(one, fd=os.dup(one.fd)) for name, one in same.items()}


def definitions(settings: ProbeSettings, hash_key: bytes) -> dict[str, object]:
    """What a source is compiled with."""
    return {
        "EXECS_ENTRIES": settings.map_entries,
        "PROCESSES_ENTRIES": settings.process_entries,
        "RING_PAGES": settings.ring_buffer_pages,
        "CPUS": possible_cpus(),
        "HASH_KEY_0": f"{int.from_bytes(hash_key[:8], 'little')}ULL",
        "HASH_KEY_1": f"{int.from_bytes(hash_key[8:], 'little')}ULL",
        "ARGV_BYTES": settings.argv_bytes,
        "ENV_BYTES": settings.env_bytes,
        **{f"COLLECT_{name.upper()}": int(name in settings.collect) for name in COLLECTED},
    }
