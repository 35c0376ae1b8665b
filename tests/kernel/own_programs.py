"""BPF programs of the tests, compiled as the probe is: without the kernel's headers."""

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path

from bcc import BPF

from exporter.compiler.compile import native_stderr
from exporter.compiler.stub_headers import stub_headers


@contextmanager
def compiled(source):
    """Yield BCC's object for a source; free all of its kernel objects at the end."""
    with tempfile.TemporaryDirectory(prefix="exec_exporter-") as name:
        directory = Path(name)
        for path, text in stub_headers(os.uname().release, os.sysconf("SC_PAGE_SIZE")).items():
            (directory / path).parent.mkdir(parents=True, exist_ok=True)
            (directory / path).write_text(text, "ascii")
        before = os.environ.get("BCC_KERNEL_SOURCE")
        os.environ["BCC_KERNEL_SOURCE"] = name
        try:
            with native_stderr():
                bpf = BPF(text=source.encode(), cflags=[f"-I{directory}/include"])
        finally:
            del os.environ["BCC_KERNEL_SOURCE"]
            if before is not None:
                os.environ["BCC_KERNEL_SOURCE"] = before
    try:
        yield bpf
    finally:
        bpf.cleanup()
