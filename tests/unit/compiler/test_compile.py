"""Work in a child process, and its output."""

import os
import signal

import pytest

from exporter.compiler.compile import in_child, native_stderr, not_loaded
from exporter.errors import ExporterError


def test_the_result_comes_from_another_process():
    pid, parent = in_child(lambda: (os.getpid(), os.getppid()))
    assert (pid != os.getpid(), parent) == (True, os.getpid())


def test_a_result_may_be_larger_than_a_pipe():
    assert in_child(lambda: bytes(1 << 20)) == bytes(1 << 20)


def test_it_works_where_the_working_directory_was_removed(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert in_child(os.getcwd) == "/"


def test_its_error_is_raised_here():
    def work():
        raise ExporterError("no", "try again")

    with pytest.raises(ExporterError) as raised:
        in_child(work)
    assert (raised.value.what, raised.value.remedy) == ("no", "try again")


@pytest.mark.parametrize(
    ("end", "why"),
    [(lambda: os._exit(3), "status 3"), (lambda: os.kill(os.getpid(), signal.SIGKILL), "SIGKILL")],
    ids=["exit", "kill"],
)
def test_a_child_without_an_answer_is_an_error(end, why):
    with pytest.raises(ExporterError, match=rf"ended without an answer \({why}\)"):
        in_child(end)


def test_no_child_is_left_behind():
    child = in_child(os.getpid)
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def test_output_of_c_code_is_captured(capfd):
    with native_stderr() as output:
        os.write(2, b"from C\n")
    os.write(2, b"later\n")
    assert output == ["from C\n"]
    assert capfd.readouterr().err == "later\n"


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("a warning\nx.c:1: error: no such thing\nmore\n", "x.c:1: error: no such thing"),
        ("first\n\n last \n", "last"),
        ("", "no reason given"),
    ],
)
def test_the_first_telling_line_is_the_reason(output, reason):
    assert not_loaded(output).what == f"the kernel or BCC refused the probe ({reason})"
