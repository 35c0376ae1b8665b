"""The probes: what they attach, and what their maps hold."""

from __future__ import annotations

import errno
import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from exporter.compiler.compile import not_loaded
from exporter.compiler.ctypes_layout import layout
from exporter.host.binfmt_misc import misc_interpreters
from exporter.kernel import bpf_syscall, perf_event
from exporter.kernel.bpf_map import Map
from exporter.kernel.bpf_syscall import ProgramKind
from exporter.kernel.map_reader import read_entries
from exporter.kernel.symbols import HookError, check_symbol
from exporter.probe import failure_hook
from exporter.probe.attachments import Attachments
from exporter.probe.canary import canary
from exporter.probe.exec_header import Layouts
from exporter.probe.hooks import Attach, Hook, choose
from exporter.probe.program import PROGRAM, RAW, Loaded, LoadedProbe, ProbeSettings, load
from exporter.probe.script_hook import FUNCTION, LSM_FUNCTION

log = logging.getLogger(__name__)

EXITS = "sched_process_exit", "on_exit"
FORKS = "sched_process_fork", "on_fork"
SOURCE = "exec.c"
CARRIED = frozenset({"counters", "failures"})  # maps whose numbers mean the same in every generation
HISTOGRAM_NAMES = "histogram_name", "format"  # enums
WORD = 1 << 64
OFF, ON = (number.to_bytes(4, sys.byteorder) for number in (0, 1))


class Probe(LoadedProbe):
    """The probe of the service: counts executions by key, records each new key once, and follows processes.

    It is compiled and loaded when made, unless it is loaded already; one that is `adopted` was attached by another
    process. Raises ExporterError where this machine cannot run it.
    """

    def __init__(
        self,
        settings: ProbeSettings,
        loaded: Loaded | None = None,
        attachments: Attachments | None = None,
        *,
        adopted: bool = False,
    ) -> None:
        super().__init__(loaded or load(SOURCE, settings), attachments)
        self._settings, self._adopted = settings, adopted
        self._collect = settings.collect - ({"processes", "forks"} if self.lacks("processes") else set())
        self.maps: dict[str, Map] = {name: self._maps[name] for name in ("execs", "processes", "exits")}
        self.structs = {
            name: layout(self._compiled.maps[name].value) for name in (*self.maps, "histograms", "settings")
        }
        self.layouts = Layouts(layout(self._compiled.maps["execs"].key), self.layouts.introduction)
        # exits first: whatever is followed is seen to end
        self._beside = [EXITS] * ("processes" in self._collect) + [FORKS] * bool(self._collect & {"processes", "forks"})
        for _, program in self._beside:
            try:
                self._object.load(program, RAW)
            except OSError as error:
                raise not_loaded("\n".join((*getattr(error, "__notes__", ()), str(error)))) from error
        self.script_hook = Hook()
        self.failure_hook = Hook()
        told = *CARRIED, *self.maps, "histograms", "records"
        self._ids = {name: bpf_syscall.object_id(self._maps[name].fd) for name in told}
        self._before: dict[str, Counter[str]] = {name: Counter() for name in CARRIED}
        table = self._maps["histograms"]
        self._histograms_before = [bytes(table.value_size)] * table.max_entries

    def lacks(self, feature: str) -> bool:
        """Whether this kernel lacks a feature, by its name."""
        return feature in {missing.name for missing in self.missing}

    def collects(self, name: str) -> bool:
        """Whether something is counted beside executions: asked for, and known to this kernel."""
        return name in self._collect

    def attach(self, script_hooks: Collection[str] | None = None, failure_hooks: Collection[str] | None = None) -> None:
        """Starts counting, scripts by their own file if a hook for that can be had. Raises ExporterError.

        Hooks are tried in turn; if None, those of the settings.
        """
        if not (self.lacks("script_hook") or self.lacks("program_file")):
            self._hook_scripts(self._settings.script_hooks if script_hooks is None else script_hooks)
        if "failures" in self._collect:
            self._hook_failures(self._settings.failure_hooks if failure_hooks is None else failure_hooks)
        elif self._attachments:
            self._attachments.drop_hook("failures")
        for tracepoint, program in (EXITS, FORKS):
            if (tracepoint, program) in self._beside:
                self._attach(tracepoint, program)
            elif self._attachments:
                self._attachments.detach(program)
        super().attach()

    def detach(self) -> None:
        """Stops counting, unless what is attached is pinned; what has been counted can still be read."""
        super().detach()
        if not self._attachments:
            self._maps["script_hook"].set(0, OFF)
        self.script_hook.detach()
        self.failure_hook.detach()
        self.script_hook = Hook(refused=self.script_hook.refused)
        self.failure_hook = replace(self.failure_hook, links=())  # what it has counted can still be read

    def _hook_scripts(self, kinds: Collection[str]) -> None:
        candidates: dict[str, Attach] = {
            "fentry": lambda: self._hook_function(FUNCTION, bpf_syscall.PROG_TYPE_TRACING, bpf_syscall.TRACE_FENTRY),
            "kprobe": self._hook_by_kprobe,
            "lsm": lambda: self._hook_function(LSM_FUNCTION, bpf_syscall.PROG_TYPE_LSM, bpf_syscall.LSM_MAC),
        }

        def fires() -> bool:
            opened = self._maps["opened"]
            for key in [key for key, _ in read_entries(opened)]:
                opened.remove(key)
            canary()
            return any(True for _ in read_entries(opened))

        self.script_hook = self._hook("scripts", candidates, kinds, fires)
        self._maps["script_hook"].set(0, ON if self.script_hook.kind else OFF)

    def _hook_function(self, function: str, program_type: int, attach_type: int) -> list[int]:
        check_symbol(function)
        btf_id = self._compiled.kernel.functions.get(function)
        if btf_id is None:
            raise HookError(f"the kernel's type information has no {function}")
        name = "on_creds_for_exec"
        program = bpf_syscall.load(self._object.code(name), ProgramKind(program_type, attach_type, btf_id), name)
        try:
            return [bpf_syscall.attach(program)]
        finally:
            os.close(program)  # the link holds it

    def _hook_by_kprobe(self) -> list[int]:
        if self.lacks("kprobe_argument"):
            raise HookError("the kernel's type information has no registers")
        check_symbol(FUNCTION)
        program = self._object.load("on_creds_for_exec_kprobe", ProgramKind(bpf_syscall.PROG_TYPE_KPROBE))
        return [perf_event.attach_to_function(FUNCTION, program)]

    def _hook_failures(self, kinds: Collection[str]) -> None:
        candidates = failure_hook.candidates(self._compiled.kernel.functions, self._object)

        def fires() -> bool:
            before = self.failures().get(errno.ENOEXEC, 0)
            canary()
            return self.failures().get(errno.ENOEXEC, 0) > before

        self.failure_hook = self._hook("failures", candidates, kinds, fires)

    def _hook(
        self, purpose: str, candidates: Mapping[str, Attach], kinds: Collection[str], fires: Callable[[], bool]
    ) -> Hook:
        """The hook that is pinned, if this probe is the one that pinned it and it fires; or else a new one."""
        if self._attachments and self._adopted:
            pinned = self._attachments.hook(purpose)
            if pinned and pinned.kind in kinds and fires():
                return pinned
            if pinned:
                pinned.detach()
        if self._attachments:
            self._attachments.drop_hook(purpose)  # or what both see would be counted twice
        hook = choose(((kind, candidates[kind]) for kind in kinds), fires)
        for why in hook.refused:
            log.debug("%s: %s", purpose, why)
        if self._attachments:
            self._attachments.keep_hook(purpose, hook)
        return hook

    @property
    def digest(self) -> str:
        """What it was made from; empty, if nobody has asked."""
        return self.loaded.digest

    @property
    def hash_key(self) -> bytes:
        """The key of its path hashes."""
        return self.loaded.hash_key

    @property
    def pinned(self) -> bool:
        """Whether counting goes on when this process ends."""
        return self._attachments is not None

    def map_id(self, name: str) -> int:
        """The kernel's id of a map, which no other has before the next boot."""
        return self._ids[name]

    def entries(self, name: str) -> Iterator[tuple[bytes, bytes]]:
        """Yields the raw key and value of each entry of a map of `maps`. Raises OSError."""
        return read_entries(self.maps[name])

    def take(self, name: str, key: bytes) -> bytes | None:
        """Removes an entry of a map and returns its value; None: there is none. Raises OSError."""
        return self.maps[name].take(key)

    def capacity(self, name: str) -> int:
        """How many entries a map can have."""
        return self.maps[name].max_entries

    def run_seconds(self) -> dict[str, float]:
        """Time spent in each program, in seconds, as far as the kernel counts it (kernel.bpf_stats_enabled)."""
        programs = {"exec": PROGRAM, **{program.removeprefix("on_"): program for _, program in self._beside}}
        return {name: self._run_seconds(program) for name, program in programs.items()}

    def histograms(self) -> list[list[bytes]]:
        """The raw histograms of each CPU, and of the generations before, by format."""
        return [[*cpus, before] for cpus, before in zip(self._histograms(), self._histograms_before, strict=True)]

    def _histograms(self) -> list[list[bytes]]:
        table = self._maps["histograms"]
        return [table.at(index) for index in range(table.max_entries)]

    def failures(self) -> dict[int, int]:
        """Failed executions by errno; 0 for those that have no number there."""
        numbers = self._failures() + self._before["failures"]
        return {int(error): count for error, count in numbers.items() if count}

    def _failures(self) -> Counter[str]:
        entries = read_entries(self._maps["failures"])
        return Counter(
            {str(int.from_bytes(key, sys.byteorder)): int.from_bytes(value, sys.byteorder) for key, value in entries}
        )

    def counters(self) -> dict[str, int]:
        """As those of every program, with exits and forks that the kernel did not show, and generations before it."""
        counters = super().counters()
        if self.collects("processes"):
            counters["COUNTER_EXITS_LOST"] += self._statistic("on_exit", "recursion_misses")
            counters["COUNTER_PROCESSES_UNTRACKED"] += self._statistic("on_fork", "recursion_misses")
        return {name: count + self._before["counters"][name] for name, count in counters.items()}

    def state(self) -> dict[str, Any]:
        """What is counted by numbers alone, as `restore` takes it back."""
        now = {"counters": Counter(self._counted()), "failures": self._failures()}
        histograms = [
            self._ids["histograms"],
            self._meaning(),
            *map(_as_text, (self._histograms_before, self._summed())),
        ]
        return {"histograms": histograms, **{n: [self._ids[n], self._before[n], now[n]] for n in CARRIED}}

    def _summed(self) -> list[bytes]:
        """The histograms of all CPUs together."""
        return [_added(cpus) for cpus in self._histograms()]

    def _meaning(self) -> Any:
        """What the histograms mean: others' are carried on if it is the same."""
        compiled = self.loaded.compiled
        names = [name for name in sorted(compiled.vocabulary) if name in HISTOGRAM_NAMES or name.endswith("_bounds")]
        return [compiled.maps["histograms"].value, [compiled.vocabulary[name] for name in names]]

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from a state: if it is of another map, what was counted there is added to what is counted here."""
        for name in CARRIED:
            number, before, counted = state[name]
            self._before[name] = Counter(before)
            if number != self._ids[name]:
                self._before[name] += Counter(counted)
        number, meaning, before, summed = state["histograms"]
        if meaning != self._meaning():
            log.warning("the histograms by format begin anew: their buckets are others than before")
            return
        self._histograms_before = [bytes.fromhex(one) for one in before]
        if number != self._ids["histograms"]:
            both = zip(self._histograms_before, map(bytes.fromhex, summed), strict=True)
            self._histograms_before = [_added(pair) for pair in both]

    def refresh_settings(self) -> None:
        """Tells the probe when this machine was booted, in ns since the epoch, and what binfmt_misc starts."""
        names = self._maps["misc_interpreters"]
        wanted = {name[: names.key_size - 1].ljust(names.key_size, b"\0") for name in misc_interpreters()}
        present = {name for name, _ in read_entries(names)}
        for name in present - wanted:
            names.remove(name)
        for name in wanted - present:
            names.put(name, b"\1")
        boot_time_ns = time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        self._maps["settings"].set(0, bytes(self.structs["settings"](boot_time_ns, len(wanted), 0)))


def _as_text(values: Iterable[bytes]) -> list[str]:
    """For JSON."""
    return [one.hex() for one in values]


def _added(values: Iterable[bytes]) -> bytes:
    """The sum of structs that have nothing but 64-bit numbers, which may go round."""
    words = [memoryview(one).cast("Q") for one in values]
    return b"".join((sum(column) % WORD).to_bytes(8, sys.byteorder) for column in zip(*words, strict=True))


class Tracer(LoadedProbe):
    """The probe of `exec_exporter trace`: records every execution, and counts nothing."""

    def __init__(self, settings: ProbeSettings) -> None:
        super().__init__(load("trace.c", settings))
