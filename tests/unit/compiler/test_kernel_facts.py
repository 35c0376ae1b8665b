"""The BTF of this machine's kernel, or of a directory made by the test."""

import pytest

from exporter.compiler import kernel_facts
from exporter.compiler.kernel_facts import BTF_DIRECTORY, KernelNeeds, running_kernel
from exporter.compiler.kernel_types import Feature, Members
from exporter.errors import ExporterError

FILE = Feature("file", "no files", (Members(("file.f_inode",)),))
UNICORN = Feature("unicorn", "no unicorns", (Members(("unicorn.horn",)),))
NEEDS = KernelNeeds("sched_process_exec", ("security_bprm_creds_for_exec", "no_such_function"), (FILE, UNICORN))


@pytest.mark.skipif(not (BTF_DIRECTORY / "vmlinux").exists(), reason="this kernel has no BTF")
def test_the_running_kernel():
    header, facts = running_kernel(NEEDS)
    assert "struct file {" in header
    assert facts.missing == (UNICORN,)
    assert "security_bprm_creds_for_exec" in facts.functions
    assert "no_such_function" not in facts.functions
    assert facts.tracepoint


@pytest.mark.parametrize(
    ("content", "message"), [(None, "cannot read the kernel's type information"), (bytes(100), "not BTF")]
)
def test_without_btf_the_error_names_the_missing_file(tmp_path, monkeypatch, content, message):
    monkeypatch.setattr(kernel_facts, "BTF_DIRECTORY", tmp_path)
    if content is not None:
        (tmp_path / "vmlinux").write_bytes(content)
    with pytest.raises(ExporterError, match=message):
        running_kernel(NEEDS)
