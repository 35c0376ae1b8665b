"""A program on `sched_process_exec`, compiled, loaded and attached, and the ring buffer that it fills."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from exporter.compiler.cache import CompiledCache
from exporter.compiler.compile import Compiled, not_loaded
from exporter.compiler.ctypes_layout import Description, layout
from exporter.compiler.kernel_facts import KernelNeeds
from exporter.compiler.kernel_functions import RAW_TRACEPOINT, TYPED_TRACEPOINT
from exporter.compiler.kernel_types import Feature
from exporter.errors import ExporterError, remedy_of
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
HASH_KEY = 0x6B65795F6C6F7772, 0x6B65795F75707072  # placeholders of its halves in compiled programs
TYPED = bpf_syscall.PROG_TYPE_TRACING, bpf_syscall.TRACE_RAW_TP


@dataclass(frozen=True)
class ProbeSettings(ProbeOptions):
    """Sizes and features of the probe.

    `hash_key` is 16 secret bytes, without which nobody can construct colliding names; generated if empty. Of arguments
    and environment, `argv_bytes` and `env_bytes` are recorded: they may hold secrets. `collect` names what is counted
    besides executions; the rest is neither compiled nor attached. `without` names features to leave out, as on a kernel
    that lacks them. `script_hooks` and `failure_hooks` are tried in turn. `typed_loads` are faster, and used if the
    kernel has them.
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
    """A compiled and loaded source; `digest` covers everything it was made from."""

    compiled: Compiled
    bpf: BPFObject
    hash_key: bytes
    digest: str = ""
    collect: frozenset[str] = frozenset()


class LoadedProbe:
    """A BPF program on `sched_process_exec`, and its ring buffer of records.

    With `attachments`, attached programs stay attached when this process ends. One thread at a time may read records;
    `interrupt` is for all threads and for signal handlers.
    """

    def __init__(self, loaded: Loaded, attachments: Attachments | None = None) -> None:
        self.loaded, self.attachments = loaded, attachments
        compiled, self.bpf, self.maps = loaded.compiled, loaded.bpf, loaded.bpf.maps
        self.typed_loads = compiled.typed
        self.program_type = TYPED_TRACEPOINT if compiled.typed else RAW_TRACEPOINT
        self.bcc_version = compiled.bcc_version
        self.missing: tuple[Feature, ...] = compiled.kernel.missing
        self._links: dict[str, int] = {}
        self._ring = RingBuffer(self.maps["records"].fd)
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll = select.epoll()
        self._poll.register(self._wake, select.EPOLLIN)
        self._poll.register(self.maps["records"].fd, select.EPOLLIN)
        counters = compiled.vocabulary["counter"]
        self._counters = {number: name for name, number in counters.items() if name != "COUNTERS"}
        self.layouts = layouts_of(compiled)
        self.attached = False

    def attach(self) -> None:
        """Start to count. Raise ExporterError if the kernel has no raw tracepoints."""
        typed = ProgramKind(*TYPED, self.loaded.compiled.kernel.tracepoint or 0)
        self.attach_program(TRACEPOINT, PROGRAM, typed if self.typed_loads else RAW)
        self.attached = True

    def attach_program(self, tracepoint: str, name: str, kind: ProgramKind = RAW) -> None:
        """Attach a program, loaded as that kind, to a raw tracepoint. Raise ExporterError."""
        program = self.bpf.programs[name]
        try:
            if self.attachments:
                self.attachments.attach(tracepoint, name, program, kind)
            else:
                self._links[name] = bpf_syscall.attach(program, b"" if kind.btf_id else tracepoint.encode("ascii"))
        except OSError as error:
            raise ExporterError(
                f"the kernel refused to attach to the raw tracepoint {tracepoint} ({error.strerror})",
                remedy_of(error, "exec_exporter needs Linux 5.8 or newer with CONFIG_BPF_EVENTS=y"),
            ) from error

    def detach(self) -> None:
        """Stop counting, unless the probe is pinned; maps and records can still be read."""
        for link in self._links.values():
            os.close(link)
        self._links = {}
        self.attached = False

    @property
    def is_open(self) -> bool:
        """True until `close` is called."""
        return not self._poll.closed

    def close(self) -> None:
        """Stop counting and close everything; may be called again."""
        if self.is_open:
            self._poll.close()
            os.close(self._wake)
            self.detach()
            self._ring.close()
            self.bpf.close()
            if self.attachments:
                self.attachments.close()

    def own_counters(self) -> dict[str, int]:
        """Return the program's counters, summed over CPUs, by their names in exec.h."""
        table = self.maps["counters"]
        return {name: _sum(table.at(number)) for number, name in self._counters.items()}

    def counters(self) -> dict[str, int]:
        """Return the counters by name, including executions that the kernel did not show.

        Since 7.0 (a46023d5616e "tracing: Guard __DECLARE_TRACE() use of __DO_TRACE_CALL() with SRCU-fast") a task can
        be preempted while it runs the program; executions on that CPU meanwhile skip it.
        """
        counters = self.own_counters()
        skipped = self.statistic(PROGRAM, "recursion_misses")
        counters["COUNTER_LOST_PREEMPTED"] += skipped
        counters["COUNTER_PROBE_RUNS"] += skipped
        return counters

    def statistic(self, program: str, name: str) -> int:
        """Return a statistic of a loaded program; 0 if the kernel does not have it."""
        attached = self.attachments.dispatchers if self.attachments else {}
        return statistic(attached.get(program, self.bpf.programs[program]), name)

    def receive(self, take: Callable[[bytes], object]) -> None:
        """Pass each record that has arrived to `take`, which must not raise; the record leaves the ring afterwards."""
        self._ring.consume(take)

    def introductions(self) -> list[bytes]:
        """Return the records that arrived since the last call."""
        records: list[bytes] = []
        self.receive(records.append)
        return records

    def wait(self, timeout_seconds: float) -> bool:
        """Wait for a record, until `interrupt` is called or the time is over; return True if one arrived."""
        ready = [fd for fd, _ in self._poll.poll(timeout_seconds)]
        if self._wake in ready:
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self._wake)
        return any(fd != self._wake for fd in ready)

    def interrupt(self) -> None:
        """End a `wait`."""
        os.eventfd_write(self._wake, 1)


def layouts_of(compiled: Compiled) -> Layouts:
    """Return the layouts of keys and records."""
    introduction = layout(_member(compiled.maps["scratch"].value, "introduction"))
    return Layouts(dict(introduction._fields_)["key"], introduction, compiled.vocabulary)


def _member(description: Description, name: str) -> Description:
    """Return the description of a member of a struct."""
    return next(member[1] for member in description[1] if member[0] == name)


def _sum(values: list[bytes]) -> int:
    return sum(int.from_bytes(value, sys.byteorder) for value in values)


def kernel_needs(without: Collection[str] = ()) -> KernelNeeds:
    """Return what the probe takes from the types of a kernel, without the features of these names."""
    functions = script_hook.FUNCTION, script_hook.LSM_FUNCTION, *failure_hook.functions()
    return KernelNeeds(TRACEPOINT, functions, FEATURES, without)


def load(source: str, settings: ProbeSettings, before: Loaded | None = None) -> Loaded:
    """Compile a source and load its program, with typed loads if the kernel accepts them. Raise ExporterError.

    It shares the maps that are the same in the probe `before`, and uses its hash key if the settings have none.
    """
    key = settings.hash_key or (before.hash_key if before else os.urandom(16))
    needs, cache = kernel_needs(settings.without), CompiledCache(settings.cache_path)
    for typed in (True, False) if settings.typed_loads else (False,):
        compiled = cache.compile_source(BPF_DIRECTORY / source, definitions(settings), needs, typed=typed)
        compiled = replace(compiled, vocabulary=vocabulary())
        kernel = compiled.kernel
        bpf = BPFObject(compiled, _shared(compiled, before) if before else None, constants=constants(key))
        try:
            bpf.load(PROGRAM, ProgramKind(*TYPED, kernel.tracepoint or 0) if compiled.typed else RAW)
        except OSError as error:
            bpf.close()
            reason = "\n".join((*getattr(error, "__notes__", ()), str(error)))
            if not compiled.typed:
                raise not_loaded(reason) from error
            log.debug("typed loads: %s", reason)
        else:
            return Loaded(compiled, bpf, key, collect=settings.collect)
    raise AssertionError  # unreachable; required by mypy


def load_tracer(settings: ProbeSettings) -> LoadedProbe:
    """Return the probe of `exec_exporter trace`, which records every execution and counts nothing."""
    return LoadedProbe(load("trace.c", settings))


# Collectors that exec.c is compiled with or without, and those that decide only what is attached.
COLLECTED = "arguments", "preload", "processes", "traits"
ATTACHED = "failures", "forks"
# Maps that only one probe uses, or whose contents every exporter sets.
OWN = frozenset({"scratch", "settings", "misc_interpreters", "script_hook"})


def _shared(compiled: Compiled, before: Loaded) -> dict[str, Map]:
    """Return the maps of the earlier probe, by new descriptors, whose sizes, layouts and meaning are the same."""
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


def constants(hash_key: bytes) -> dict[int, int]:
    """Return the constants that the key replaces in compiled programs, which so hold no secret."""
    halves = hash_key[:8], hash_key[8:]
    return {placeholder: int.from_bytes(half, "little") for placeholder, half in zip(HASH_KEY, halves, strict=True)}


def definitions(settings: ProbeSettings) -> dict[str, object]:
    """Return the macros to compile a source with."""
    return {
        "EXECS_ENTRIES": settings.map_entries,
        "PROCESSES_ENTRIES": settings.process_entries,
        "RING_PAGES": settings.ring_buffer_pages,
        "CPUS": possible_cpus(),
        **{f"HASH_KEY_{number}": placeholder for number, placeholder in enumerate(HASH_KEY)},
        "ARGV_BYTES": settings.argv_bytes,
        "ENV_BYTES": settings.env_bytes,
        **{f"COLLECT_{name.upper()}": int(name in settings.collect) for name in COLLECTED},
    }
