"""If any system call of the start fails, the exporter serves, or ends with one line: the reason and a remedy."""

import errno
import os
import random
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from exporter.errors import REMEDIES
from tests.kernel.command import DEADLINE_SECONDS
from tests.repetition import EXHAUSTIVE
from tests.waiting import until

pytestmark = [pytest.mark.native, pytest.mark.usefixtures("cold")]

PAUSED = [sys.executable, Path(__file__).parent / "paused_command.py"]
# Errors by system call: exhausted resources, and missing permission.
FAILURES = {
    "openat": ("EMFILE", "ENFILE", "ENOMEM", "EACCES"),
    "bpf": ("EMFILE", "ENOMEM", "EPERM"),
    "clone,clone3,fork,vfork": ("EAGAIN", "ENOMEM"),
    "pipe2": ("EMFILE", "ENFILE"),
    "socket": ("EMFILE", "EACCES"),
    "socketpair": ("EMFILE",),
    "bind": ("EACCES", "EADDRINUSE"),
    "epoll_create1": ("EMFILE",),
    "eventfd2": ("EMFILE",),
    "memfd_create": ("EMFILE", "ENOMEM"),
    "mkdir": ("ENOSPC", "EROFS", "EACCES"),
    "mmap": ("ENOMEM",),
    "perf_event_open": ("EMFILE", "EACCES"),
    "pwrite64": ("ENOSPC", "EIO", "EDQUOT"),
    "fdatasync": ("EIO",),
    "getdents64": ("ENOMEM",),
    "capset": ("EPERM",),
    "prctl": ("EPERM",),
    "execve": ("EAGAIN", "EACCES"),
}
PAIRS = [(call, error) for call, errors in FAILURES.items() for error in errors]
FORBIDDEN = ("Traceback", "this is a bug", "Exception ignored")


def start(tmp_path, inject):
    """Start with a failure; return the status and the standard error. The exporter is stopped once it serves."""
    catalogue = tmp_path / "catalogue" / "catalogue.db"
    arguments = ["--web.listen-address=127.0.0.1:0", "--bpf.pin-path=", f"--catalogue.path={catalogue}"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    said = tmp_path / "said"
    with said.open("w") as errors, subprocess.Popen([*PAUSED, *arguments], stderr=errors, **pipes) as process:
        try:
            pid = process.stdout.readline().strip()
            trace = ["strace", "-f", "-o", os.devnull, "-p", pid, "-e", f"inject={inject}"]
            with subprocess.Popen(trace, stderr=subprocess.PIPE, text=True) as tracer:
                assert "attached" in tracer.stderr.readline()
                process.stdin.write("\n")
                process.stdin.flush()
                until(lambda: process.poll() is not None or "serving http" in said.read_text(), DEADLINE_SECONDS)
                tracer.send_signal(signal.SIGINT)  # it detaches: a signal for a stopped thread goes to another one
                tracer.wait(DEADLINE_SECONDS)
                process.terminate()
                process.wait(DEADLINE_SECONDS)
        finally:
            process.kill()
    return process.returncode, said.read_text()


def chosen():
    """Return a moment for each failure: for good, or a single time; all pairs for the long run."""
    if EXHAUSTIVE:
        return [(call, error, when) for call, error in PAIRS for when in ("1+", str(random.randint(2, 60)))]
    return [(call, error, random.choice(("1+", str(random.randint(1, 20))))) for call, error in random.sample(PAIRS, 4)]


@pytest.mark.parametrize(("call", "error", "when"), chosen())
def test_a_system_call_that_fails_is_named_with_its_remedy(tmp_path, call, error, when):
    status, said = start(tmp_path, f"{call}:error={error}:when={when}")
    assert not [text for text in FORBIDDEN if text in said], said
    if "serving http" in said:  # how it stops is not tested here
        return
    assert status in (1, 2), said
    line = said.splitlines()[-1]
    assert re.fullmatch(r"exec_exporter: .+: .+", line)
    number = getattr(errno, error)
    if number in REMEDIES and os.strerror(number) in line:
        assert REMEDIES[number] in line
