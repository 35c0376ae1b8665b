"""The one module that imports BCC: compiles a source of bpf/, loads its program, and owns its ring buffer."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import platform
import re
import select
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exporter import bpf_syscall, casts, failure_hook, script_hook
from exporter.btf import BTF, BTFError
from exporter.casts import RAW_TRACEPOINT, TYPED_TRACEPOINT
from exporter.decode import Layouts
from exporter.event import BPF_DIRECTORY, enum
from exporter.kernel_headers import kernel_headers
from exporter.kernel_types import Feature, KernelTypes, kernel_types
from exporter.refusal import Refusal

log = logging.getLogger(__name__)

BTF_DIRECTORY = Path("/sys/kernel/btf")
POSSIBLE_CPUS = Path("/sys/devices/system/cpu/possible")
TRACEPOINT = b"sched_process_exec"
PROGRAM = b"on_exec"


@dataclass(frozen=True)
class ProbeSettings:
    """Sizes of the kernel's side.

    `hash_key` is 16 secret bytes, without which names cannot be made to collide; made anew if empty.
    `argv_bytes` and `env_bytes` of each record's arguments and environment are recorded: they hold secrets.
    `collect` names what is counted beside executions; the rest is neither compiled nor attached.
    `without` names features that are left out, as on a kernel that lacks them; `script_hooks` and `failure_hooks` are
    tried in turn.
    `typed_loads` are used where the kernel has them; without them a program counts the same and costs more.
    """

    executions_entries: int = 32768
    processes_entries: int = 32768
    introductions_pages: int = 256
    hash_key: bytes = b""
    argv_bytes: int = 0
    env_bytes: int = 0
    without: frozenset[str] = frozenset()
    collect: frozenset[str] = frozenset({"processes", "arguments", "forks", "failures", "traits"})
    script_hooks: tuple[str, ...] = script_hook.KINDS
    failure_hooks: tuple[str, ...] = failure_hook.KINDS
    typed_loads: bool = True


class Program:
    """A BPF program on `sched_process_exec`, compiled and loaded when made, with a ring buffer of records.

    Raises Refusal where this machine cannot run it.
    """

    def __init__(self, source: str, settings: ProbeSettings) -> None:
        try:
            import bcc
        except ImportError as error:
            raise _no_bcc(str(error)) from error
        if not hasattr(bcc, "BPF"):  # PyPI's `bcc` is a package about crystals
            raise _no_bcc(f"{getattr(bcc, '__file__', 'bcc')} is another package of that name")
        self._lib = bcc.lib
        self.bcc_version: str = bcc.__version__
        self._btf, types = _kernel_types(settings.without)
        self.missing: tuple[Feature, ...] = types.missing
        self.program_type: str
        self._bpf, self.program_type = _load(bcc, source, settings, self._btf, types)
        self._records: list[bytes] = []
        self._bpf[b"records"].open_ring_buffer(self._receive)
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll = select.epoll()
        self._poll.register(self._wake, select.EPOLLIN)
        self._poll.register(self._bpf[b"records"].map_fd, select.EPOLLIN)
        self._counters = {number: name for name, number in enum("counter").items() if name != "COUNTERS"}
        introduction: Any = dict(self._bpf[b"scratch"].Leaf._fields_)["introduction"]
        self.layouts = Layouts(dict(introduction._fields_)["key"], introduction)
        self.attached = False

    @property
    def typed_loads(self) -> bool:
        """Whether the kernel's memory is read with typed loads."""
        return self.program_type == TYPED_TRACEPOINT

    def attach(self) -> None:
        """Starts counting. Raises Refusal where the kernel has no raw tracepoints."""
        self._attach_raw_tracepoint(TRACEPOINT, PROGRAM)
        self.attached = True

    def _attach_raw_tracepoint(self, tracepoint: bytes, program: bytes) -> None:
        try:
            with native_stderr():
                if program == PROGRAM and self.typed_loads:
                    self._bpf.raw_tracepoint_fds[tracepoint] = bpf_syscall.attach(self._bpf.funcs[program].fd)
                else:
                    self._bpf.attach_raw_tracepoint(tracepoint, program)
        except Exception as error:  # BCC raises nothing more specific
            raise Refusal(
                f"the kernel refused to attach to the raw tracepoint {tracepoint.decode()}"
                f" ({os.strerror(ctypes.get_errno())})",
                "exec_exporter needs Linux 5.8 or newer with CONFIG_BPF_EVENTS=y",
            ) from error

    def _load_program(self, program: bytes, kind: str) -> int:
        """Loads another program of the source, of one of BCC's kinds; returns its descriptor. Raises Refusal."""
        try:
            with native_stderr() as said:
                return int(self._bpf.load_func(program, getattr(self._bpf, kind)).fd)
        except Exception as error:  # BCC raises nothing more specific
            raise _not_loaded("".join(said)) from error

    def detach(self) -> None:
        """Stops counting; what has been counted can still be read."""
        if self.attached:
            self._bpf.detach_raw_tracepoint(TRACEPOINT)
            self.attached = False

    def close(self) -> None:
        """Stops counting and gives everything back to the kernel; may be called again."""
        if not self._poll.closed:
            self._poll.close()
            os.close(self._wake)
            self.detach()
            self._bpf.cleanup()

    def counters(self) -> dict[str, int]:
        """The program's counters, summed over CPUs, by their names in event.h.

        Since 7.0 (a46023d5616e "tracing: Guard __DECLARE_TRACE() use of __DO_TRACE_CALL() with SRCU-fast") a task can
        be preempted while it runs the program, and the kernel skips it for what executes meanwhile on that CPU.
        """
        table = self._bpf[b"counters"]
        counters = {name: int(table.sum(number).value) for number, name in self._counters.items()}
        skipped = self._statistic(PROGRAM, "recursion_misses")
        counters["COUNTER_LOST_PREEMPTED"] += skipped
        counters["COUNTER_PROBE_RUNS"] += skipped
        return counters

    def _statistic(self, program: bytes, name: str) -> int:
        """What the kernel says of a program that is loaded; 0 where it has no such statistic."""
        info = Path(f"/proc/self/fdinfo/{self._bpf.funcs[program].fd}").read_text("ascii")
        found = re.search(rf"^{name}:\s*(\d+)$", info, re.MULTILINE)
        return int(found[1]) if found else 0

    def _run_seconds(self, program: bytes) -> float:
        """Time spent in a program that is loaded, in seconds."""
        return self._statistic(program, "run_time_ns") / 1e9

    def introductions(self) -> list[bytes]:
        """The records that came since the last call. One caller at a time."""
        self._bpf.ring_buffer_consume()
        records, self._records = self._records, []
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

    def _receive(self, _context: int, data: int, size: int) -> int:
        # Called by C, where an exception would be swallowed: nothing here can raise one.
        self._records.append(ctypes.string_at(data, size))
        return 0


def _load(bcc: Any, source: str, settings: ProbeSettings, btf: BTF, types: KernelTypes) -> tuple[Any, str]:
    """Compiles a source of bpf/ against headers made for this kernel, and loads its program; says as what type."""
    key = settings.hash_key or os.urandom(16)
    definitions = {
        "EXECS_ENTRIES": settings.executions_entries,
        "PROCESSES_ENTRIES": settings.processes_entries,
        "RING_PAGES": settings.introductions_pages,
        "CPUS": _possible_cpus(),
        "HASH_KEY_0": f"{int.from_bytes(key[:8], 'little')}ULL",
        "HASH_KEY_1": f"{int.from_bytes(key[8:], 'little')}ULL",
        "ARGV_BYTES": settings.argv_bytes,
        "ENV_BYTES": settings.env_bytes,
        **{f"COLLECT_{name.upper()}": 1 for name in settings.collect},
    }
    cast, tracepoint = btf.function(casts.FUNCTION), btf.typedef(f"btf_trace_{TRACEPOINT.decode()}")
    with tempfile.TemporaryDirectory(prefix="exec_exporter-") as directory:
        tree = Path(directory)
        headers = kernel_headers(platform.release(), os.sysconf("SC_PAGE_SIZE"))
        headers["include/kernel_types.h"] = types.header
        for name, text in headers.items():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_text(text, "ascii")

        def compiled() -> Any:
            flags = [f"-I{BPF_DIRECTORY}", f"-I{tree / 'include'}"]
            flags += [f"-D{name}={value}" for name, value in definitions.items()]
            with _environment("BCC_KERNEL_SOURCE", directory):
                return bcc.BPF(src_file=bytes(BPF_DIRECTORY / source), cflags=flags)

        try:
            with native_stderr() as said:
                if settings.typed_loads and cast is not None and tracepoint is not None:
                    definitions["TYPED_LOADS"] = casts.PLACEHOLDER
                    bpf = compiled()
                    if _loads_typed(bcc, bpf, cast, tracepoint):
                        return bpf, TYPED_TRACEPOINT
                    bpf.cleanup()
                    del definitions["TYPED_LOADS"]
                bpf = compiled()
                bpf.load_func(PROGRAM, bcc.BPF.RAW_TRACEPOINT)
        except Exception as error:  # BCC raises nothing more specific
            raise _not_loaded("".join(said)) from error
    return bpf, RAW_TRACEPOINT


def _loads_typed(bcc: Any, bpf: Any, cast: int, tracepoint: int) -> bool:
    """Loads what was compiled with TYPED_LOADS, if the kernel takes it; BCC can then do the rest."""
    casts.resolve_all(bcc.lib, bpf.module, cast)
    kind = bpf_syscall.PROG_TYPE_TRACING, bpf_syscall.TRACE_RAW_TP, tracepoint
    try:
        program = bpf_syscall.load(bpf.dump_func(PROGRAM), *kind, PROGRAM.decode())
    except OSError as error:
        log.debug("typed loads: %s", "\n".join((str(error), *error.__notes__)))
        return False
    bpf.funcs[PROGRAM] = bcc.BPF.Function(bpf, PROGRAM, program)
    return True


def _possible_cpus() -> int:
    """How many CPUs this machine can have: '0-3,8-11' is 12, since numbers may be left out."""
    return int(re.findall(r"\d+", POSSIBLE_CPUS.read_text("ascii"))[-1]) + 1


def _kernel_types(without: frozenset[str]) -> tuple[BTF, KernelTypes]:
    path = BTF_DIRECTORY / "vmlinux"
    try:
        btf = BTF(path.read_bytes())
        overlay = BTF_DIRECTORY / "overlay"
        if overlay.exists():
            btf = BTF(overlay.read_bytes(), btf)
        return btf, kernel_types(btf, without)
    except OSError as error:
        raise Refusal(
            f"cannot read the kernel's type information, {path} ({error.strerror})",
            "run a kernel built with CONFIG_DEBUG_INFO_BTF=y, as distributions' kernels are since 2020",
        ) from error
    except BTFError as error:
        raise Refusal(str(error), f"report this with the output of 'uname -a' and the size of {path}") from error


def _no_bcc(why: str) -> Refusal:
    return Refusal(
        f"BCC for Python is not installed ({why})",
        "install python3-bpfcc (Debian, Ubuntu) or python3-bcc (Fedora);"
        " a virtual environment sees it when made by /usr/bin/python3 -m venv --system-site-packages",
    )


def _not_loaded(output: str) -> Refusal:
    log.debug("BCC said: %s", output)
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    telling = [line for line in lines if "error" in line.lower() or "failed" in line.lower()] or lines[-1:]
    return Refusal(
        f"the kernel or BCC refused the probe ({telling[0] if telling else 'no reason given'})",
        "run with --log.level=debug and report what it prints, with the output of 'uname -a'",
    )


@contextlib.contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


@contextlib.contextmanager
def native_stderr() -> Iterator[list[str]]:
    """Keeps what C code writes to descriptor 2 off the terminal; the list that it yields holds it afterwards."""
    said: list[str] = []
    with tempfile.TemporaryFile() as file:
        saved = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            yield said
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            said.append(os.pread(file.fileno(), 1 << 20, 0).decode("utf-8", "replace"))
