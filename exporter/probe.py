"""The probes: what they attach, and what their maps hold."""

from __future__ import annotations

import ctypes
import logging
import os
from collections.abc import Callable, Iterator

from exporter import bpf_syscall, script_hook
from exporter.decode import Layouts
from exporter.program import ProbeSettings, Program, native_stderr
from exporter.read import Map, read_entries
from exporter.script_hook import FUNCTION, LSM_FUNCTION, Detach, Hook, HookError

log = logging.getLogger(__name__)


class Probe(Program):
    """The probe of the service: counts executions by key, and records each new key once."""

    def __init__(self, settings: ProbeSettings) -> None:
        super().__init__("exec.c", settings)
        executions = self._bpf[b"execs"]
        key_size, value_size = ctypes.sizeof(executions.Key), ctypes.sizeof(executions.Leaf)
        self._executions = Map(executions.map_fd, key_size, value_size, settings.executions_entries)
        self.layouts = Layouts(executions.Key, executions.Leaf, self.layouts.introduction)
        self._script_hooks = settings.script_hooks
        self.script_hook = Hook()

    def attach(self) -> None:
        """Starts counting, scripts by their own file if a hook for that can be had. Raises Refusal."""
        if not {"script_hook", "program_file"}.intersection(feature.name for feature in self.missing):
            self._hook_scripts()
        super().attach()

    def detach(self) -> None:
        """Stops counting; what has been counted can still be read."""
        super().detach()
        self._bpf[b"script_hook"][0] = ctypes.c_uint32(0)
        self.script_hook.detach()
        self.script_hook = Hook(refused=self.script_hook.refused)

    def _hook_scripts(self) -> None:
        candidates: dict[str, Callable[[], Detach]] = {
            "fentry": self._attach_fentry,
            "kprobe": self._attach_kprobe,
            "lsm": self._attach_lsm,
        }
        self.script_hook = script_hook.choose(((kind, candidates[kind]) for kind in self._script_hooks), self._fires)
        self._bpf[b"script_hook"][0] = ctypes.c_uint32(1 if self.script_hook.kind else 0)
        for why in self.script_hook.refused:
            log.debug("scripts: %s", why)

    def _fires(self) -> bool:
        """Whether the hook that is attached now notices an exec."""
        opened = self._bpf[b"opened"]
        opened.clear()
        script_hook.canary()
        return next(iter(opened.keys()), None) is not None

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
        if "kprobe_argument" in (feature.name for feature in self.missing):
            raise HookError("the kernel's type information has no registers")
        script_hook.check_symbol(FUNCTION)
        try:
            with native_stderr():
                self._bpf.attach_kprobe(event=FUNCTION.encode(), fn_name=b"on_creds_for_exec_kprobe")
        except Exception as error:  # BCC raises nothing more specific
            raise HookError(os.strerror(ctypes.get_errno())) from error
        return lambda: self._bpf.detach_kprobe(event=FUNCTION.encode(), fn_name=b"on_creds_for_exec_kprobe")

    def entries(self) -> Iterator[tuple[bytes, bytes]]:
        """Yields the raw key and value of each entry of the map of executions. Raises OSError."""
        return read_entries(self._lib, self._executions)

    @property
    def capacity(self) -> int:
        """How many entries the map of executions can have."""
        return self._executions.max_entries


class Tracer(Program):
    """The probe of `exec_exporter trace`: records every execution, and counts nothing."""

    def __init__(self, settings: ProbeSettings) -> None:
        super().__init__("trace.c", settings)
