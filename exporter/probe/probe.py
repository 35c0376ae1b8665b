"""The probe of the service: its attachments and its maps."""

from __future__ import annotations

import errno
import logging
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from exporter.compiler.compile import not_loaded
from exporter.compiler.ctypes_layout import layout
from exporter.compiler.kernel_types import Feature
from exporter.host.binfmt_misc import misc_interpreters
from exporter.host.clocks import boot_time_ns
from exporter.kernel import bpf_syscall
from exporter.kernel.bpf_map import Map
from exporter.kernel.map_reader import read_entries
from exporter.kernel.symbols import Symbols
from exporter.probe import failure_hook, script_hook
from exporter.probe.attachments import Attachments
from exporter.probe.canary import canary
from exporter.probe.carried_totals import NUMBERS, CarriedTotals
from exporter.probe.hooks import Attach, Hook, choose
from exporter.probe.program import PROGRAM, RAW, Loaded, LoadedProbe, ProbeSettings, load
from exporter.probe.upkeep import OBJECTS, Upkeep

log = logging.getLogger(__name__)

EXITS = "sched_process_exit", "on_exit"
FORKS = "sched_process_fork", "on_fork"
SOURCE = "exec.c"
OFF, ON = (number.to_bytes(4, sys.byteorder) for number in (0, 1))


class Probe:
    """The probe counts executions by key, writes one record of each new key, and follows processes.

    It is compiled and loaded unless `loaded` is given; one that is `adopted` was attached by another process. Its
    `program` has the ring buffer and the program on executions. Raise ExporterError if this machine cannot run it.
    """

    def __init__(
        self,
        settings: ProbeSettings,
        loaded: Loaded | None = None,
        attachments: Attachments | None = None,
        *,
        adopted: bool = False,
    ) -> None:
        self.program = program = LoadedProbe(loaded or load(SOURCE, settings), attachments)
        self._settings, self._attachments, self._adopted = settings, attachments, adopted
        self.loaded, self._bpf, self._maps = program.loaded, program.bpf, program.maps
        self.receive, self.wait, self.interrupt = program.receive, program.wait, program.interrupt
        self.program_type, self.bcc_version = program.program_type, program.bcc_version
        self.missing: tuple[Feature, ...] = program.missing
        self._collect = settings.collect - ({"processes", "forks"} if self.lacks("processes") else set())
        self.maps: dict[str, Map] = {name: self._maps[name] for name in ("execs", "processes", "exits")}
        described = self.loaded.compiled.maps
        self.structs = {name: layout(described[name].value) for name in (*self.maps, "histograms", "settings")}
        self.layouts = replace(program.layouts, key=layout(described["execs"].key))
        # exits first, so that the exit of every process that is followed is seen
        self.beside = [EXITS] * ("processes" in self._collect) + [FORKS] * bool(self._collect & {"processes", "forks"})
        for _, name in self.beside:
            try:
                self._bpf.load(name, RAW)
            except OSError as error:
                raise not_loaded("\n".join((*getattr(error, "__notes__", ()), str(error)))) from error
        self.script_hook = Hook()
        self.failure_hook = Hook()
        self.upkeep = Upkeep(attachments, self._bpf.programs) if attachments else None
        self._ids = {name: bpf_syscall.object_id(self._maps[name].fd) for name in (*self.structs, *NUMBERS, "records")}
        self._carried = CarriedTotals(self.loaded.compiled, self._ids, self._maps["histograms"])

    @property
    def attached(self) -> bool:
        """True while executions are counted."""
        return self.program.attached and not (self.upkeep and not self.upkeep.counting)

    @property
    def pinned(self) -> bool:
        """True if counting continues when this process ends."""
        return bool(self.upkeep and self.upkeep.pinned)

    @property
    def repairs(self) -> Mapping[str, int]:
        """Number of restored objects by kind."""
        return self.upkeep.repairs if self.upkeep else dict.fromkeys(OBJECTS, 0)

    def hold(self) -> None:
        """Open descriptors of all pinned objects, for `verify`. Raise OSError."""
        if self._attachments:
            self._attachments.hold()

    def verify(self) -> None:
        """Verify that the pinned probe counts, and restore objects that others have changed. For all threads."""
        if self.upkeep:
            self.upkeep.verify()

    def lacks(self, feature: str) -> bool:
        """Return True if this kernel lacks a feature."""
        return feature in {missing.name for missing in self.missing}

    def collects(self, name: str) -> bool:
        """Return True if a collector is enabled and this kernel has what it needs."""
        return name in self._collect

    # Attaching

    def attach(self, script_hooks: Collection[str] | None = None, failure_hooks: Collection[str] | None = None) -> None:
        """Start to count. Scripts are identified by their own file if a hook for that works. Raise ExporterError.

        The kinds of hooks are tried in turn; None: those of the settings.
        """
        symbols = Symbols()
        if not (self.lacks("script_hook") or self.lacks("program_file")):
            self._hook_scripts(symbols, self._settings.script_hooks if script_hooks is None else script_hooks)
        if "failures" in self._collect:
            self._hook_failures(symbols, self._settings.failure_hooks if failure_hooks is None else failure_hooks)
        elif self._attachments:
            self._attachments.drop_hook("failures")
        for tracepoint, program in (EXITS, FORKS):
            if (tracepoint, program) in self.beside:
                self.program.attach_program(tracepoint, program)
            elif self._attachments:
                self._attachments.detach(program)
        self.program.attach()

    def detach(self) -> None:
        """Stop counting, unless the probe is pinned; maps and records can still be read."""
        self.program.detach()
        if not self._attachments:
            self._maps["script_hook"].set(0, OFF)
        self.script_hook.detach()
        self.failure_hook.detach()
        self.script_hook = Hook(refused=self.script_hook.refused)
        self.failure_hook = replace(self.failure_hook, links=())  # its counts can still be read

    def close(self) -> None:
        """Stop counting and close everything; may be called again."""
        if self.program.is_open:
            self.detach()
            self.program.close()

    def _hook_scripts(self, symbols: Symbols, kinds: Collection[str]) -> None:
        ids, registers = self.loaded.compiled.kernel.functions, not self.lacks("kprobe_argument")
        candidates = script_hook.candidates(ids, symbols, self._bpf, registers=registers)
        self.script_hook = self._hook("scripts", candidates, kinds, lambda: script_hook.fires(self._maps["opened"]))
        self._maps["script_hook"].set(0, ON if self.script_hook.kind else OFF)

    def _hook_failures(self, symbols: Symbols, kinds: Collection[str]) -> None:
        candidates = failure_hook.candidates(self.loaded.compiled.kernel.functions, symbols, self._bpf)

        def fires() -> bool:
            before = self.failures().get(errno.ENOEXEC, 0)
            canary()
            return self.failures().get(errno.ENOEXEC, 0) > before

        self.failure_hook = self._hook("failures", candidates, kinds, fires)

    def _hook(
        self, purpose: str, candidates: Mapping[str, Attach], kinds: Collection[str], fires: Callable[[], bool]
    ) -> Hook:
        """Return the pinned hook, if this probe has pinned it and it fires; else a new one."""
        if self._attachments and self._adopted:
            pinned = self._attachments.hook(purpose)
            if pinned and pinned.kind in kinds and fires():
                return pinned
            if pinned:
                pinned.detach()
        if self._attachments:
            self._attachments.drop_hook(purpose)  # or events that both hooks see would be counted twice
        hook = choose(((kind, candidates[kind]) for kind in kinds), fires)
        for reason in hook.refused:
            log.debug("%s: %s", purpose, reason)
        if self._attachments:
            self._attachments.keep_hook(purpose, hook)
        return hook

    # Maps

    def map_id(self, name: str) -> int:
        """Return the kernel's id of a map, which no other map gets before the next boot."""
        return self._ids[name]

    def entries(self, name: str) -> Iterator[tuple[bytes, bytes]]:
        """Yield the raw key and value of each entry of a map of `maps`. Raise OSError."""
        return read_entries(self.maps[name])

    def take(self, name: str, key: bytes) -> bytes | None:
        """Remove an entry of a map and return its value; None if there is none. Raise OSError."""
        return self.maps[name].take(key)

    def capacity(self, name: str) -> int:
        """Return how many entries a map can have."""
        return self.maps[name].max_entries

    def run_seconds(self) -> dict[str, float]:
        """Return the time spent in each program, in seconds; 0 unless kernel.bpf_stats_enabled is 1."""
        programs = {"exec": PROGRAM, **{program.removeprefix("on_"): program for _, program in self.beside}}
        return {name: self.program.statistic(program, "run_time_ns") / 1e9 for name, program in programs.items()}

    def histograms(self) -> list[list[bytes]]:
        """Return the raw histograms by format: of each CPU, and of earlier generations."""
        return [[*cpus, before] for cpus, before in zip(self._histograms(), self._carried.histograms, strict=True)]

    def _histograms(self) -> list[list[bytes]]:
        table = self._maps["histograms"]
        return [table.at(index) for index in range(table.max_entries)]

    def failures(self) -> dict[int, int]:
        """Return the failed executions by errno; 0 for an errno out of range."""
        numbers = self._failures() + self._carried.numbers["failures"]
        return {int(error): count for error, count in numbers.items() if count}

    def _failures(self) -> Counter[str]:
        entries = read_entries(self._maps["failures"])
        return Counter(
            {str(int.from_bytes(key, sys.byteorder)): int.from_bytes(value, sys.byteorder) for key, value in entries}
        )

    def counters(self) -> dict[str, int]:
        """Return the counters of all programs and generations, with events that the kernel did not show."""
        counters = self.program.counters()
        if self.collects("processes"):
            counters["COUNTER_EXITS_LOST"] += self.program.statistic("on_exit", "recursion_misses")
            counters["COUNTER_PROCESSES_UNTRACKED"] += self.program.statistic("on_fork", "recursion_misses")
        return {name: count + self._carried.numbers["counters"][name] for name, count in counters.items()}

    def state(self) -> dict[str, Any]:
        """Return counters, failures and histograms, for `restore`."""
        numbers = {"counters": Counter(self.program.own_counters()), "failures": self._failures()}
        return self._carried.state(numbers, self._histograms())

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a state; if it is of other maps, its counts are added to the present ones."""
        self._carried.restore(state)

    def refresh_settings(self) -> None:
        """Pass the time of boot, in ns since the epoch, and the interpreters of binfmt_misc to the probe."""
        names = self._maps["misc_interpreters"]
        wanted = {name[: names.key_size - 1].ljust(names.key_size, b"\0") for name in misc_interpreters()}
        present = {name for name, _ in read_entries(names)}
        for name in present - wanted:
            names.remove(name)
        for name in wanted - present:
            names.put(name, b"\1")
        self._maps["settings"].set(0, bytes(self.structs["settings"](boot_time_ns(), len(wanted), 0)))
