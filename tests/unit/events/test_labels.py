from dataclasses import replace

import pytest

from exporter.events.decode import Decoder, ExecKey, KernelPath
from exporter.events.labels import Labels, absolute, labels_of
from exporter.probe.exec_header import enum
from tests.unit.layouts import LAYOUTS, key, record

FLAGS = enum("key_flag")


NOTHING = Decoder(LAYOUTS).introduction(record(key()))


def labels(flags=(), stdin="null", **fields):
    """Return the labels of an exec with these flags in its key; names of paths are paths."""
    number = sum(FLAGS[f"KEY_{flag.upper()}"] for flag in flags)
    paths = {
        name: KernelPath(fields[name])
        for name in ("pathname", "interpreter_pathname", "cwd")
        if isinstance(fields.get(name), bytes)
    }
    return labels_of(ExecKey(stdin, number), replace(NOTHING, **{**fields, **paths}))


def test_a_dynamic_program_has_its_loader_as_interpreter():
    found = labels(pathname=b"/usr/bin/true", interpreter_pathname=b"/lib/ld.so", cmdpath=b"true")
    assert found == Labels("/usr/bin/true", "/lib/ld.so", "null")


def test_a_static_program_has_no_interpreter():
    assert labels(pathname=b"/bin/busybox").interpreter == ""


def test_a_script_has_its_invoked_path_and_the_interpreter_as_written():
    found = labels(
        ["script"], pathname=b"/usr/bin/dash", interpreter_pathname=b"/ld.so", cmdpath=b"/x.sh", interp=b"/bin/sh"
    )
    assert found == Labels("/x.sh", "/bin/sh", "null")


def test_a_relative_script_is_made_absolute_with_the_working_directory():
    assert (
        labels(["script"], pathname=b"/sh", cmdpath=b"./run", cwd=b"/srv/app", interp=b"/bin/sh").path == "/srv/app/run"
    )


def test_a_relative_script_without_a_working_directory_is_unknown():
    assert labels(["script"], pathname=b"/sh", cmdpath=b"./run", interp=b"/bin/sh").path == "unknown"


@pytest.mark.parametrize(
    ("path", "label"),
    [
        (KernelPath(b"memfd:/a/b", orphan=True, disconnected=True), "[memfd]"),
        (KernelPath(b"x", orphan=True, disconnected=True), "[disconnected]"),
        (KernelPath(b"/a/b", deleted=True), "[deleted]"),
        (KernelPath(b"/a/b", disconnected=True), "[disconnected]/a/b"),
        (KernelPath(b"y/z", cut=True), "[truncated]/y/z"),
    ],
)
def test_a_file_without_a_path_never_looks_like_one_that_has_it(path, label):
    assert labels(pathname=path).path == label
    assert labels(pathname=b"/p", interpreter_pathname=path).interpreter == label


@pytest.mark.parametrize(
    ("cwd", "label"),
    [
        (KernelPath(b"/a", deleted=True), "[deleted]"),
        (KernelPath(b"/a", disconnected=True), "[disconnected]/a/x"),
        (KernelPath(b"a", cut=True), "[truncated]/x"),
    ],
)
def test_a_relative_script_in_a_directory_without_a_path(cwd, label):
    assert labels(["script"], pathname=b"/sh", cmdpath=b"x", cwd=cwd, interp=b"/bin/sh").path == label


def test_a_script_whose_path_was_cut_is_marked():
    found = labels(["script"], pathname=b"/sh", cmdpath=b"/y/z", truncated=frozenset({"cmdpath"}))
    assert found.path == "[truncated]//y/z"


def test_a_key_that_is_not_introduced_is_unknown_but_for_its_stdin():
    assert labels_of(ExecKey("pipe", 0), None) == Labels("unknown", "unknown", "pipe")


@pytest.mark.parametrize(
    ("directory", "path", "result"),
    [
        (b"/a/b", b"c", b"/a/b/c"),
        (b"/a/b", b"./c", b"/a/b/c"),
        (b"/a/b", b".//./c//d", b"/a/b/c/d"),
        (b"/a/b", b"../c", b"/a/c"),
        (b"/a/b", b"../../../c", b"/c"),
        (b"/", b"c", b"/c"),
        (b"/a", b"link/../c", b"/a/link/../c"),
    ],
)
def test_only_leading_dots_are_resolved(directory, path, result):
    assert absolute(directory, path) == result
