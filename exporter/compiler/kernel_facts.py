"""Facts about the running kernel, from its BTF: structs for the probe, ids for its hooks."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from exporter.compiler import kernel_functions
from exporter.compiler.btf import BTF, BTFError
from exporter.compiler.kernel_types import Feature, kernel_types
from exporter.errors import ExporterError, remedy_of

BTF_DIRECTORY = Path("/sys/kernel/btf")


@dataclass(frozen=True)
class KernelFacts:
    """The missing features, and BTF ids: of functions by name, and of the typed tracepoint."""

    missing: tuple[Feature, ...]
    functions: Mapping[str, int]
    tracepoint: int | None

    @property
    def has_typed_loads(self) -> bool:
        """Whether programs can cast memory to the kernel's types."""
        return kernel_functions.CAST in self.functions and self.tracepoint is not None


@dataclass(frozen=True)
class KernelNeeds:
    """The requirements of a program.

    It attaches to the raw tracepoint `tracepoint`; its hooks may attach to `functions`. The features named in `without`
    are treated as missing.
    """

    tracepoint: str
    functions: Collection[str]
    features: Collection[Feature]
    without: Collection[str] = ()


def running_kernel(needs: KernelNeeds) -> tuple[str, KernelFacts]:
    """Return C declarations of the types that the features need, and the facts. Raise ExporterError."""
    path = BTF_DIRECTORY / "vmlinux"
    try:
        btf = BTF(path)
        overlay = BTF_DIRECTORY / "overlay"
        if overlay.exists():
            btf = BTF(overlay, btf)
        types = kernel_types(btf, needs.features, needs.without)
    except OSError as error:
        raise ExporterError(
            f"cannot read the kernel's type information, {path} ({error.strerror})",
            remedy_of(
                error, "run a kernel built with CONFIG_DEBUG_INFO_BTF=y, as distributions' kernels are since 2020"
            ),
        ) from error
    except BTFError as error:
        raise ExporterError(str(error), f"report this with the output of 'uname -a' and the size of {path}") from error
    wanted = {*kernel_functions.PLACEHOLDERS, *needs.functions}
    return types.header, KernelFacts(types.missing, btf.functions(wanted), btf.typedef(f"btf_trace_{needs.tracepoint}"))
