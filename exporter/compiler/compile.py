"""Compiles a C file with BCC in a child process. No other module imports BCC.

The compiler is LLVM: the child's memory is freed when it ends, and the exporter itself never maps it.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import logging
import os
import pickle
import platform
import re
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from exporter.compiler import kernel_functions
from exporter.compiler.ctypes_layout import Description
from exporter.compiler.kernel_facts import KernelFacts, KernelNeeds, running_kernel
from exporter.compiler.stub_headers import stub_headers
from exporter.errors import ExporterError, attempt, reason, remedy_of
from exporter.host import libc
from exporter.kernel import bpf_syscall
from exporter.kernel.bpf_syscall import MapInfo

log = logging.getLogger(__name__)

REPORT = "run with --log.level=debug and report what it prints, with the output of 'uname -a'"
PR_SET_PDEATHSIG = 1  # linux/prctl.h

T = TypeVar("T")


@dataclass(frozen=True)
class CompiledMap:
    """The description from which a map is created, and the layouts of its keys and values."""

    info: MapInfo
    key: Description
    value: Description


@dataclass(frozen=True)
class Compiled:
    """The instructions of each program of a source, which refer to maps by the keys of `numbers`.

    `vocabulary` holds the enums of the source's header, name to number, by enum; the caller fills it in.
    """

    programs: dict[str, bytes]
    maps: dict[str, CompiledMap]
    numbers: dict[int, str]
    typed: bool
    bcc_version: str
    kernel: KernelFacts
    vocabulary: dict[str, dict[str, int]] = field(default_factory=dict)


def compile_source(source: Path, definitions: Mapping[str, object], needs: KernelNeeds, *, typed: bool) -> Compiled:
    """Compile a C file, with the headers beside it, for the running kernel in a child process. Raise ExporterError.

    With `typed` the programs use typed loads if the kernel supports them for the tracepoint.
    """
    return in_child(lambda: _compile(source, definitions, needs, typed))


def in_child(work: Callable[[], T]) -> T:
    """Call a function in a child process and return its result. Raise the ExporterError that it raises."""
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if not child:
        _answer(work, writing)
    os.close(writing)
    with open(reading, "rb") as pipe:  # noqa: PTH123 - a descriptor
        answer = pipe.read()
    _, status = os.waitpid(child, 0)
    if not answer:
        how = signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else f"status {status >> 8}"
        raise ExporterError(f"the compiler ended without an answer ({how})", "make 200 MiB of memory available to it")
    result: T
    result, failure = pickle.loads(answer)  # noqa: S301 - from this program's own child
    if failure:
        raise ExporterError(*failure)
    return result


def _answer(work: Callable[[], object], writing: int) -> None:
    """Send the result of the work to the parent and end the child, at once if the parent ends."""
    status = 1
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        result, failure = None, None
        try:
            libc.call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            _enter_a_directory()
            result = work()
        except ExporterError as error:
            failure = error.what, error.remedy
        except Exception as error:
            log.debug("the compiler failed", exc_info=True)
            failure = f"cannot compile the probe ({reason(error)})", remedy_of(error, REPORT)
        with open(writing, "wb") as pipe:
            pipe.write(pickle.dumps((result, failure)))
        status = 0
    except Exception:
        log.debug("the compiler failed", exc_info=True)
    finally:
        os._exit(status)


def _enter_a_directory() -> None:
    """Leave a working directory that was removed: clang, and so BCC, needs one."""
    try:
        Path.cwd()
    except FileNotFoundError:
        os.chdir("/")


def _compile(source: Path, definitions: Mapping[str, object], needs: KernelNeeds, typed: bool) -> Compiled:
    header, kernel = running_kernel(needs)
    bcc = _bcc()
    flags = [f"-D{name}={value}" for name, value in definitions.items()]
    typed = typed and kernel.has_typed_loads
    if typed:
        flags += [f"-D{name}={value}" for name, value in kernel_functions.macros(kernel.functions).items()]
    writing = attempt(
        "write the headers of the probe", "set TMPDIR to a directory that can be written; see ulimit -f, too"
    )
    with writing, tempfile.TemporaryDirectory(prefix="exec_exporter-") as directory:
        tree = Path(directory)
        headers = stub_headers(platform.release(), os.sysconf("SC_PAGE_SIZE"))
        headers["include/kernel_types.h"] = header
        for name, text in headers.items():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_text(text, "ascii")
        flags += [f"-I{source.parent}", f"-I{tree / 'include'}"]
        os.environ["BCC_KERNEL_SOURCE"] = directory
        try:
            with native_stderr() as output:
                bpf = bcc.BPF(src_file=bytes(source), cflags=flags)
        except Exception as error:  # BCC raises nothing more specific
            raise not_loaded("".join(output)) from error
    programs, maps, numbers = _contents(bcc.lib, bpf.module)
    if typed:
        programs = {name: kernel_functions.resolve(code, kernel.functions) for name, code in programs.items()}
    return Compiled(programs, maps, numbers, typed, bcc.__version__, kernel)


def _bcc() -> Any:
    try:
        import bcc
    except (ImportError, OSError) as error:
        raise _no_bcc(error) from error
    if not hasattr(bcc, "BPF"):  # PyPI's `bcc` is a package about crystals
        raise _no_bcc(ImportError(f"{getattr(bcc, '__file__', 'bcc')} is another package of that name"))
    return bcc


def _contents(lib: Any, module: Any) -> tuple[dict[str, bytes], dict[str, CompiledMap], dict[int, str]]:
    lib.bpf_table_name.restype, lib.bpf_table_name.argtypes = ctypes.c_char_p, (ctypes.c_void_p, ctypes.c_size_t)
    functions = [lib.bpf_function_name(module, index) for index in range(lib.bpf_num_functions(module))]
    names = [lib.bpf_table_name(module, index) for index in range(lib.bpf_num_tables(module))]
    numbers = {lib.bpf_table_fd(module, name): name for name in names}
    programs = {
        name.decode(): ctypes.string_at(lib.bpf_function_start(module, name), lib.bpf_function_size(module, name))
        for name in functions
    }
    maps = {
        name.decode(): CompiledMap(
            bpf_syscall.map_info(descriptor),
            json.loads(lib.bpf_table_key_desc(module, name)),
            json.loads(lib.bpf_table_leaf_desc(module, name)),
        )
        for descriptor, name in numbers.items()
    }
    return programs, maps, {descriptor: name.decode() for descriptor, name in numbers.items()}


def _no_bcc(error: Exception) -> ExporterError:
    if exhausted := remedy_of(error, ""):
        return ExporterError(f"cannot load BCC ({error})", exhausted)
    return ExporterError(
        f"BCC for Python is not installed ({error})",
        "install python3-bpfcc (Debian, Ubuntu) or python3-bcc (Fedora);"
        " a virtual environment sees it when made by /usr/bin/python3 -m venv --system-site-packages",
    )


def not_loaded(output: str) -> ExporterError:
    """Return the error for the output of BCC or of the verifier: the first line that explains it."""
    log.debug("output of the compiler or the verifier: %s", output)
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    telling = [line for line in lines if re.search("error|failed", line, re.IGNORECASE)] or lines[-1:]
    return ExporterError(
        f"the kernel or BCC refused the probe ({telling[0] if telling else 'no reason given'})",
        remedy_of(output, REPORT),
    )


@contextlib.contextmanager
def native_stderr() -> Iterator[list[str]]:
    """Capture what C code writes to descriptor 2; the yielded list holds it afterwards."""
    output: list[str] = []
    with tempfile.TemporaryFile() as file:
        saved = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            yield output
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            output.append(os.pread(file.fileno(), 1 << 20, 0).decode("utf-8", "replace"))
