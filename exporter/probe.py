"""The probes: what they attach, and what their maps hold."""

from __future__ import annotations

import ctypes
import errno
import logging
import os
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace

from exporter import bpf_syscall, failure_hook, script_hook
from exporter.bpf_map import Map
from exporter.decode import Layouts
from exporter.program import PROGRAM, ProbeSettings, Program, native_stderr
from exporter.read import read_entries
from exporter.script_hook import FUNCTION, LSM_FUNCTION, Detach, Hook, HookError

log = logging.getLogger(__name__)

EXITS = b"sched_process_exit", b"on_exit"
FORKS = b"sched_process_fork", b"on_fork"


class Probe(Program):
    """The probe of the service: counts executions by key, records each new key once, and follows processes."""

    def __init__(self, settings: ProbeSettings) -> None:
        super().__init__("exec.c", settings)
        self._settings = settings
        self._collect = settings.collect - ({"processes", "forks"} if self.lacks("processes") else set())
        self.maps = {name: self._map(name) for name in ("execs", "processes", "lives")}
        self.structs = {name: self._bpf[name.encode()].Leaf for name in self.maps}
        self.structs["histograms"] = self._bpf[b"histograms"].Leaf._type_  # of each CPU
        self.layouts = Layouts(self._bpf[b"execs"].Key, self.layouts.introduction)
        # exits first: whatever is followed is seen to end
        self._beside = [EXITS] * ("processes" in self._collect) + [FORKS] * bool(self._collect & {"processes", "forks"})
        for _, program in self._beside:
            self._load_program(program, "RAW_TRACEPOINT")
        self.script_hook = Hook()
        self.failure_hook = Hook()

    def _map(self, name: str) -> Map:
        table = self._bpf[name.encode()]
        return Map(table.map_fd, ctypes.sizeof(table.Key), ctypes.sizeof(table.Leaf), table.max_entries)

    def lacks(self, feature: str) -> bool:
        """Whether this kernel lacks a feature, by its name."""
        return feature in {missing.name for missing in self.missing}

    def collects(self, name: str) -> bool:
        """Whether something is counted beside executions: asked for, and known to this kernel."""
        return name in self._collect

    def attach(self, script_hooks: Collection[str] | None = None, failure_hooks: Collection[str] | None = None) -> None:
        """Starts counting, scripts by their own file if a hook for that can be had. Raises Refusal.

        Hooks are tried in turn; if None, those of the settings.
        """
        if not (self.lacks("script_hook") or self.lacks("program_file")):
            self._hook_scripts(self._settings.script_hooks if script_hooks is None else script_hooks)
        if "failures" in self._collect:
            self._hook_failures(self._settings.failure_hooks if failure_hooks is None else failure_hooks)
        for tracepoint, program in self._beside:
            self._attach_raw_tracepoint(tracepoint, program)
        super().attach()

    def detach(self) -> None:
        """Stops counting; what has been counted can still be read."""
        if self.attached:
            for tracepoint, _ in self._beside:
                self._bpf.detach_raw_tracepoint(tracepoint)
        super().detach()
        self._bpf[b"script_hook"][0] = ctypes.c_uint32(0)
        self.script_hook.detach()
        self.failure_hook.detach()
        self.script_hook = Hook(refused=self.script_hook.refused)
        self.failure_hook = replace(self.failure_hook, detach=lambda: None)  # what it has counted can still be read

    def _hook_scripts(self, kinds: Collection[str]) -> None:
        candidates: dict[str, Callable[[], Detach]] = {
            "fentry": self._attach_fentry,
            "kprobe": self._attach_kprobe,
            "lsm": self._attach_lsm,
        }

        def fires() -> bool:
            opened = self._bpf[b"opened"]
            opened.clear()
            script_hook.canary()
            return next(iter(opened.keys()), None) is not None

        self.script_hook = script_hook.choose(((kind, candidates[kind]) for kind in kinds), fires)
        self._bpf[b"script_hook"][0] = ctypes.c_uint32(1 if self.script_hook.kind else 0)
        for why in self.script_hook.refused:
            log.debug("scripts: %s", why)

    def _attach_fentry(self) -> Detach:
        return self._attach_function(FUNCTION, bpf_syscall.PROG_TYPE_TRACING, bpf_syscall.TRACE_FENTRY)

    def _attach_lsm(self) -> Detach:
        return self._attach_function(LSM_FUNCTION, bpf_syscall.PROG_TYPE_LSM, bpf_syscall.LSM_MAC)

    def _attach_function(self, function: str, program_type: int, attach_type: int) -> Detach:
        script_hook.check_symbol(function)
        btf_id = self._btf.function(function)
        if btf_id is None:
            raise HookError(f"the kernel's type information has no {function}")
        code = self._bpf.dump_func(b"on_creds_for_exec")
        link = bpf_syscall.attach_to_function(code, program_type, attach_type, btf_id, "on_creds_for_exec")
        return lambda: os.close(link)

    def _attach_kprobe(self) -> Detach:
        if self.lacks("kprobe_argument"):
            raise HookError("the kernel's type information has no registers")
        script_hook.check_symbol(FUNCTION)
        try:
            with native_stderr():
                self._bpf.attach_kprobe(event=FUNCTION.encode(), fn_name=b"on_creds_for_exec_kprobe")
        except Exception as error:  # BCC raises nothing more specific
            raise HookError(os.strerror(ctypes.get_errno())) from error
        return lambda: self._bpf.detach_kprobe(event=FUNCTION.encode(), fn_name=b"on_creds_for_exec_kprobe")

    def _hook_failures(self, kinds: Collection[str]) -> None:
        candidates = failure_hook.candidates(self._btf, self._bpf, self._load_program)

        def fires() -> bool:
            before = self.failures().get(errno.ENOEXEC, 0)
            script_hook.canary()
            return self.failures().get(errno.ENOEXEC, 0) > before

        with native_stderr():
            self.failure_hook = script_hook.choose(((kind, candidates[kind]) for kind in kinds), fires)
        for why in self.failure_hook.refused:
            log.debug("failed executions: %s", why)

    def entries(self, name: str) -> Iterator[tuple[bytes, bytes]]:
        """Yields the raw key and value of each entry of a map of `maps`. Raises OSError."""
        return read_entries(self._lib, self.maps[name])

    def take(self, name: str, key: bytes) -> bytes | None:
        """Removes an entry of a map and returns its value; None: there is none. Raises OSError."""
        return self.maps[name].take(key)

    def capacity(self, name: str) -> int:
        """How many entries a map can have."""
        return self.maps[name].max_entries

    def run_seconds(self) -> dict[str, float]:
        """Time spent in each program, in seconds, as far as the kernel counts it (kernel.bpf_stats_enabled)."""
        programs = {"exec": PROGRAM, **{program.decode().removeprefix("on_"): program for _, program in self._beside}}
        return {name: self._run_seconds(program) for name, program in programs.items()}

    def histograms(self) -> list[list[bytes]]:
        """The raw histograms of each CPU, by histogram and then format."""
        table = self._bpf[b"histograms"]
        return [[bytes(one) for one in table[index]] for index in range(table.max_entries)]

    def failures(self) -> dict[int, int]:
        """Failed executions by errno; 0 for those that have no number there."""
        return {number: value.value for number, value in enumerate(self._bpf[b"failures"].values()) if value.value}

    def tell(self, boot_time_ns: int, misc_interpreters: Collection[bytes]) -> None:
        """Tells the probe when this machine was booted, in ns since the epoch, and what binfmt_misc starts."""
        names = self._bpf[b"misc_interpreters"]
        wanted = {name[: ctypes.sizeof(names.Key) - 1] for name in misc_interpreters}
        present = {bytes(key.name): key for key in names.keys()}  # noqa: SIM118 - BCC's table is no dict
        for name in present.keys() - wanted:
            del names[present[name]]
        for name in wanted - present.keys():
            names[names.Key(name)] = ctypes.c_uint8(1)
        settings = self._bpf[b"settings"]
        settings[0] = settings.Leaf(boot_time_ns, len(wanted), 0)


class Tracer(Program):
    """The probe of `exec_exporter trace`: records every execution, and counts nothing."""

    def __init__(self, settings: ProbeSettings) -> None:
        super().__init__("trace.c", settings)
