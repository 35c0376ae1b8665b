import errno
import os
import subprocess
import sys
import threading

import pytest

from exporter.errors import REMEDIES, ExporterError, attempt, remedy_of


@pytest.mark.parametrize("number", REMEDIES)
def test_the_remedy_of_an_exhausted_resource_follows_from_the_number_or_the_text(number):
    text = os.strerror(number)
    for error in (OSError(number, text), ImportError(f"libx.so.1: cannot open shared object file: {text}"), text):
        assert remedy_of(error, "otherwise") == REMEDIES[number]


def test_other_errors_have_the_remedy_of_the_place():
    assert remedy_of(OSError(errno.EINVAL, os.strerror(errno.EINVAL)), "otherwise") == "otherwise"
    assert remedy_of("invalid", "otherwise") == "otherwise"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            FileNotFoundError(errno.ENOENT, "No such file or directory", "/proc/stat"),
            "cannot look (/proc/stat: No such file or directory): mount /proc",
        ),
        (MemoryError(), f"cannot look (MemoryError): {REMEDIES[errno.ENOMEM]}"),
        (RuntimeError("can't start new thread"), f"cannot look (can't start new thread): {REMEDIES[errno.EAGAIN]}"),
    ],
)
def test_an_attempt_names_what_failed_and_for_which_file(error, line):
    with pytest.raises(ExporterError) as raised, attempt("look", "mount /proc"):
        raise error
    assert str(raised.value) == line


def test_a_bug_is_no_error_of_the_system():
    with pytest.raises(RuntimeError), attempt("look"):
        raise RuntimeError("dictionary changed size during iteration")


def test_python_says_of_threads_what_is_expected():
    """Python's message is the only sign that the limit of processes is reached."""
    code = """
import resource, threading, os
os.setuid(65534) if os.geteuid() == 0 else None
resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
try:
    threading.Thread(target=print).start()
    threading.Thread(target=print).start()
except RuntimeError as error:
    print(error)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "can't start new thread" in result.stdout, threading
