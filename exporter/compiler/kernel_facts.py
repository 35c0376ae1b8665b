"""What the running kernel's own description of its types, BTF, says: structs for the probe, ids for its hooks."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from exporter.compiler import typed_loads
from exporter.compiler.btf import BTF, BTFError
from exporter.compiler.kernel_types import Feature, kernel_types
from exporter.errors import Refusal
from exporter.probe import failure_hook, script_hook

BTF_DIRECTORY = Path("/sys/kernel/btf")


@dataclass(frozen=True)
class KernelFacts:
    """The features of kernel_types.py that are missing, and BTF ids: of functions, and of a typed tracepoint."""

    missing: tuple[Feature, ...]
    functions: Mapping[str, int]
    tracepoint: int | None

    @property
    def cast(self) -> int | None:
        """The id of what casts to the kernel's types; None: there is no such function."""
        return self.functions.get(typed_loads.FUNCTION)


def running_kernel(tracepoint: str, without: Collection[str]) -> tuple[str, KernelFacts]:
    """Declarations in C, and the facts, as of a kernel that lacks the features `without`. Raises Refusal."""
    path = BTF_DIRECTORY / "vmlinux"
    try:
        btf = BTF(path.read_bytes())
        overlay = BTF_DIRECTORY / "overlay"
        if overlay.exists():
            btf = BTF(overlay.read_bytes(), btf)
        types = kernel_types(btf, without)
    except OSError as error:
        raise Refusal(
            f"cannot read the kernel's type information, {path} ({error.strerror})",
            "run a kernel built with CONFIG_DEBUG_INFO_BTF=y, as distributions' kernels are since 2020",
        ) from error
    except BTFError as error:
        raise Refusal(str(error), f"report this with the output of 'uname -a' and the size of {path}") from error
    wanted = {typed_loads.FUNCTION, script_hook.FUNCTION, script_hook.LSM_FUNCTION, *failure_hook.functions()}
    return types.header, KernelFacts(types.missing, btf.functions(wanted), btf.typedef(f"btf_trace_{tracepoint}"))
