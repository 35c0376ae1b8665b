import pytest

from exporter.decode import Introduction, Key
from exporter.event import enum
from exporter.label import Labels, absolute, labels_of

FLAGS = enum("key_flag")


def introduction(**fields):
    texts = dict.fromkeys(("pathname", "interpreter_pathname", "cwd", "cmdpath", "interp"))
    return Introduction(**{"key": b"", "truncated": frozenset(), **texts, **fields})


def labels(flags=(), stdin="null", **fields):
    number = sum(FLAGS[f"KEY_{flag.upper()}"] for flag in flags)
    return labels_of(Key(stdin, number), introduction(**fields))


def test_a_dynamic_program_has_its_loader_as_interpreter():
    found = labels(pathname=b"/usr/bin/true", interpreter_pathname=b"/lib/ld.so", cmdpath=b"true")
    assert found == Labels("/usr/bin/true", "/lib/ld.so", "null")


def test_a_static_program_has_no_interpreter():
    assert labels(pathname=b"/bin/busybox").interpreter == ""


def test_a_script_is_what_was_invoked_and_its_interpreter_what_is_written_in_it():
    found = labels(
        ["script"], pathname=b"/usr/bin/dash", interpreter_pathname=b"/ld.so", cmdpath=b"/x.sh", interp=b"/bin/sh"
    )
    assert found == Labels("/x.sh", "/bin/sh", "null")


def test_a_relative_script_is_made_absolute_with_the_working_directory():
    assert labels(["script"], cmdpath=b"./run", cwd=b"/srv/app", interp=b"/bin/sh").path == "/srv/app/run"


def test_a_relative_script_without_a_working_directory_is_unknown():
    assert labels(["script"], cmdpath=b"./run", interp=b"/bin/sh").path == "unknown"


@pytest.mark.parametrize(
    ("flag", "label"), [("memfd", "[memfd]"), ("deleted", "[deleted]"), ("disconnected", "[disconnected]/a/b")]
)
def test_a_file_without_a_path_never_looks_like_one_that_has_it(flag, label):
    assert labels([flag], pathname=b"/a/b").path == label
    assert labels([f"interpreter_{flag}"], pathname=b"/p", interpreter_pathname=b"/a/b").interpreter == label


def test_a_path_that_was_cut_says_so():
    assert labels(pathname=b"y/z", truncated=frozenset({"pathname"})).path == "[truncated]/y/z"
    assert labels(["script"], cmdpath=b"/y/z", truncated=frozenset({"cmdpath"})).path == "[truncated]//y/z"


def test_a_key_that_is_not_introduced_is_unknown_but_for_its_stdin():
    assert labels_of(Key("pipe", 0), None) == Labels("unknown", "unknown", "pipe")


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
