"""Each way to execute a file counts exactly once, in its own series and in no other."""

import os
import pty
import socket
from contextlib import chdir
from pathlib import Path

import pytest

from exporter.escape import shortened
from tests.kernel.programs import dynamic_elf, elf_interpreter, execute, script, static_elf

pytestmark = pytest.mark.both_ways
PRIME = 13


@pytest.fixture
def counts(exporter, tmp_path):
    """Return a function that returns the counts below the test's directory."""

    def counts():
        return {tuple(labels): count for labels, count in exporter.scrape().executions(below=tmp_path).items()}

    return counts


def test_static_elf(counts, tmp_path):
    program = static_elf(tmp_path / "static")
    execute(program, PRIME)
    assert counts() == {(str(program), "", "null"): PRIME}


def test_dynamic_elf(counts, tmp_path):
    program = dynamic_elf(tmp_path / "dynamic")
    execute(program, PRIME)
    assert counts() == {(str(program), elf_interpreter(program), "null"): PRIME}


def test_script(counts, tmp_path):
    program = script(tmp_path / "script")
    execute(program, PRIME)
    assert counts() == {(str(program), "/bin/sh", "null"): PRIME}


def test_script_with_an_argument_for_its_interpreter(counts, tmp_path):
    program = script(tmp_path / "script", argument="-e")
    execute(program, PRIME)
    assert counts() == {(str(program), "/bin/sh", "null"): PRIME}


def test_script_whose_interpreter_changes(counts, tmp_path):
    program = script(tmp_path / "script", interpreter="/bin/sh")
    execute(program, PRIME)
    script(program, interpreter=os.path.realpath("/bin/sh"))
    execute(program, 7)
    assert counts() == {
        (str(program), "/bin/sh", "null"): PRIME,
        (str(program), os.path.realpath("/bin/sh"), "null"): 7,
    }


def test_program_by_relative_path(counts, tmp_path):
    program = static_elf(tmp_path / "static")
    with chdir(tmp_path):
        execute("static", PRIME)
        execute("./static", PRIME)
    assert counts() == {(str(program), "", "null"): 2 * PRIME}


def test_script_by_relative_path(counts, tmp_path):
    below = tmp_path / "below"
    below.mkdir()
    program = script(tmp_path / "script")
    with chdir(tmp_path):
        execute("./script", PRIME)
    with chdir(below):
        execute("../script", PRIME)
    assert counts() == {(str(program), "/bin/sh", "null"): 2 * PRIME}


def test_scripts_of_one_name_in_two_directories(counts, tmp_path):
    for name, times in (("one", PRIME), ("two", 7)):
        (tmp_path / name).mkdir()
        script(tmp_path / name / "script")
        with chdir(tmp_path / name):
            execute("./script", times)
    assert counts() == {
        (str(tmp_path / "one/script"), "/bin/sh", "null"): PRIME,
        (str(tmp_path / "two/script"), "/bin/sh", "null"): 7,
    }


def test_symbolic_link_to_a_program_is_the_program(counts, tmp_path):
    program = static_elf(tmp_path / "static")
    (tmp_path / "link").symlink_to(program)
    execute(tmp_path / "link", PRIME)
    assert counts() == {(str(program), "", "null"): PRIME}


def test_hard_links_are_distinct(counts, tmp_path):
    program = static_elf(tmp_path / "static")
    (tmp_path / "hard").hardlink_to(program)
    execute(program, PRIME)
    execute(tmp_path / "hard", 7)
    assert counts() == {(str(program), "", "null"): PRIME, (str(tmp_path / "hard"), "", "null"): 7}


def test_path_through_a_renamed_parent_directory(counts, tmp_path):
    (tmp_path / "before").mkdir()
    static_elf(tmp_path / "before/static")
    execute(tmp_path / "before/static", PRIME)
    (tmp_path / "before").rename(tmp_path / "after")
    execute(tmp_path / "after/static", 7)
    assert counts() == {
        (str(tmp_path / "before/static"), "", "null"): PRIME,
        (str(tmp_path / "after/static"), "", "null"): 7,
    }


def test_names_around_the_length_that_fits_into_a_dentry(counts, tmp_path):
    names = ["n" * length for length in (1, 7, 8, 9, 15, 16, 31, 32, 33, 39, 40, 41, 63, 64, 254, 255)]
    names += ["n" * 39 + "m", "n" * 254 + "m"]
    for times, name in enumerate(names, 1):
        execute(static_elf(tmp_path / name), times)
    assert counts() == {(shortened(str(tmp_path / name)), "", "null"): times for times, name in enumerate(names, 1)}


def test_deep_path(counts, tmp_path):
    directory = tmp_path
    with chdir(tmp_path):
        for _ in range(100):
            directory /= "d"
        directory.mkdir(parents=True)
        program = static_elf(directory / "static")
        execute(program, PRIME)
    assert counts() == {(shortened(str(program)), "", "null"): PRIME}


def test_deleted_file(exporter, tmp_path):
    program = static_elf(tmp_path / "static")
    before = exporter.scrape().executions("[deleted]").get(("[deleted]", "", "null"), 0)
    descriptor = os.open(program, os.O_PATH)
    program.unlink()
    execute(f"/proc/self/fd/{descriptor}", PRIME)
    os.close(descriptor)
    scraped = exporter.scrape()
    assert scraped.executions("[deleted]")["[deleted]", "", "null"] == before + PRIME
    assert scraped.executions(tmp_path) == {}


def test_memfd(exporter, tmp_path):
    program = static_elf(tmp_path / "static")
    before = exporter.scrape().executions("[memfd]").get(("[memfd]", "", "null"), 0)
    descriptor = os.memfd_create("a name that is long enough to lie outside of its dentry", 0)
    os.write(descriptor, program.read_bytes())
    execute(f"/proc/self/fd/{descriptor}", PRIME)
    os.close(descriptor)
    scraped = exporter.scrape()
    assert scraped.executions("[memfd]")["[memfd]", "", "null"] == before + PRIME
    assert scraped.executions(tmp_path) == {}


def test_file_that_is_named_like_a_memfd(counts, tmp_path):
    program = static_elf(tmp_path / "memfd:x")
    execute(program, PRIME)
    assert counts() == {(str(program), "", "null"): PRIME}


def open_stdin(kind, tmp_path):
    """Return descriptors of that kind, the first for standard input."""
    if kind == "file":
        (tmp_path / "input").touch()
        return [os.open(tmp_path / "input", os.O_RDONLY)]
    if kind == "socket":
        return [end.detach() for end in socket.socketpair()]
    simple = {
        "pipe": os.pipe,
        "tty": lambda: pty.openpty()[::-1],
        "null": lambda: [os.open("/dev/null", os.O_RDONLY)],
        "chardev": lambda: [os.open("/dev/zero", os.O_RDONLY)],
        "directory": lambda: [os.open(tmp_path, os.O_RDONLY)],
        "anon": lambda: [os.eventfd(0)],
        "closed": lambda: [None],
    }
    return simple[kind]()


@pytest.mark.parametrize("kind", ["file", "pipe", "socket", "tty", "null", "chardev", "directory", "anon", "closed"])
def test_stdin(counts, tmp_path, kind):
    program = static_elf(tmp_path / "static")
    descriptors = open_stdin(kind, tmp_path)
    execute(program, PRIME, stdin=descriptors[0])
    for descriptor in filter(None, descriptors):
        os.close(descriptor)
    assert counts() == {(str(program), "", kind): PRIME}


def test_block_device(counts, tmp_path):
    device = next((entry for entry in os.scandir("/dev") if os.path.realpath(entry.path).startswith("/dev/loop")), None)
    program = static_elf(tmp_path / "static")
    node = tmp_path / "block"
    if device is None:
        os.mknod(node, 0o060600, os.makedev(7, 0))
    try:
        descriptor = os.open(device.path if device else node, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        pytest.skip(f"no block device can be opened here: {error}")
    execute(program, PRIME, stdin=descriptor)
    os.close(descriptor)
    assert counts() == {(str(program), "", "blockdev"): PRIME}


def test_the_same_program_with_two_kinds_of_stdin_has_two_series(counts, tmp_path):
    program = static_elf(tmp_path / "static")
    execute(program, PRIME)
    execute(program, 7, stdin=None)
    assert counts() == {(str(program), "", "null"): PRIME, (str(program), "", "closed"): 7}


def test_file_whose_content_is_replaced_keeps_its_series(counts, tmp_path):
    program = static_elf(tmp_path / "static")
    execute(program, PRIME)
    static_elf(tmp_path / "new", salt=b"x").rename(program)
    execute(program, 7)
    assert counts() == {(str(program), "", "null"): PRIME + 7}


def test_interpreters_of_scripts_are_not_counted_as_programs(exporter, tmp_path):
    shell = dynamic_elf(tmp_path / "shell")
    execute(script(tmp_path / "script", interpreter=str(shell)), PRIME)
    found = exporter.scrape().executions(tmp_path)
    assert found == {(str(tmp_path / "script"), str(shell), "null"): PRIME}


def test_a_name_that_the_kernel_has_forgotten_and_read_again_is_still_the_same_key(exporter, counts, tmp_path):
    """The dentry hash would differ: it is salted with the address of the parent's dentry."""
    (tmp_path / "parent").mkdir()
    program = static_elf(tmp_path / "parent/a name that is too long to lie inside of its dentry")
    execute(program, PRIME)
    keys = set(dict(exporter.probe.entries("execs")))
    Path("/proc/sys/vm/drop_caches").write_text("2")
    execute(program, PRIME)
    assert counts() == {(str(program), "", "null"): 2 * PRIME}
    added = {exporter.pipeline.labels(key).path for key in set(dict(exporter.probe.entries("execs"))) - keys}
    assert str(program) not in added
