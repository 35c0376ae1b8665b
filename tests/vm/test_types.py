"""The probe compiles with the types of every kernel, and reads each member in the layout of that kernel."""

import pytest

from exporter.compiler import kernel_facts
from exporter.compiler.btf import BTF
from exporter.compiler.compile import compile_source
from exporter.compiler.kernel_types import kernel_types
from exporter.probe.exec_header import BPF_DIRECTORY
from exporter.probe.features import FEATURES
from exporter.probe.program import PROGRAM, ProbeSettings, definitions, kernel_needs
from tests.vm.conftest import KERNELS
from tests.vm.kernels import NATIVE

# First Linux version of MATRIX with each layout of a feature, or an earlier one, newest first; bpf/ names the commits.
LAYOUTS = {
    "program_file": (("NAME_SHORTNAME", (6, 14)), ("NAME_INAME", (0, 0))),
    "ctime": (("CTIME_SPLIT", (6, 11)), ("CTIME_PRIVATE", (6, 6)), ("CTIME_PLAIN", (0, 0))),
    "elf_interpreter": (("VMA_MAPLE_TREE", (6, 1)), ("VMA_RB_TREE", (0, 0))),
    "anonymous_mounts": (("ANONYMOUS_FLAG", (7, 0)), ("ANONYMOUS_ID", (6, 18)), ("ANONYMOUS_SEQUENCE", (0, 0))),
    "script_hook": (("EXECVE_CHECK", (6, 14)), ("EXECVE_ONLY", (0, 0))),
    "released_script": (("RELEASED_TASK_WORK", (6, 8)), ("RELEASED_RCU_HEAD", (6, 0)), ("RELEASED_UNION", (0, 0))),
    "overlay_backing": (("OVERLAY_ENTRY", (6, 5)), ("OVERLAY_LOWERPATH", (6, 0)), ("OVERLAY_LOWER", (0, 0))),
}
REGISTERS = {"amd64": {"ARGUMENT_DI", "CALLS_X86"}, "arm64": {"ARGUMENT_REGS", "CALLS_ARM64"}}


@pytest.fixture(params=KERNELS, ids=lambda kernel: kernel.name)
def kernel(request, kernels):
    return request.param


def types_of(kernel):
    btf = BTF(kernel.directory / "btf/vmlinux")
    overlay = kernel.directory / "btf/overlay"
    return kernel_types(BTF(overlay, btf) if overlay.exists() else btf, FEATURES)


def test_features_that_are_missing_are_those_that_are_known_to_be(kernel):
    assert {feature.name for feature in types_of(kernel).missing} == kernel.missing


def test_layouts_are_those_of_the_kernels_version(kernel):
    version = tuple(int(part) for part in kernel.series.split("."))
    expected = {
        next(macro for macro, since in layouts if version >= since)
        for feature, layouts in LAYOUTS.items()
        if feature not in kernel.missing
    }
    expected |= REGISTERS[kernel.arch]
    header = types_of(kernel).header
    known = {layout.macro for feature in FEATURES for layout in feature.layouts if layout.macro}
    assert {macro for macro in known if f"#define {macro} 1\n" in header} == expected


@pytest.mark.parametrize("source", ["exec.c", "trace.c"])
@pytest.mark.parametrize("kernel", [kernel for kernel in KERNELS if kernel.arch == NATIVE], ids=lambda one: one.name)
def test_the_probe_compiles_with_its_types(kernels, kernel, source, monkeypatch):
    monkeypatch.setattr(kernel_facts, "BTF_DIRECTORY", kernel.directory / "btf")
    compiled = compile_source(BPF_DIRECTORY / source, definitions(ProbeSettings()), kernel_needs(), typed=False)
    assert {feature.name for feature in compiled.kernel.missing} == kernel.missing
    assert PROGRAM in compiled.programs


def test_the_table_of_layouts_has_every_layout():
    listed = {macro for layouts in LAYOUTS.values() for macro, _ in layouts} | set().union(*REGISTERS.values())
    assert {layout.macro for feature in FEATURES for layout in feature.layouts if layout.macro} == listed
