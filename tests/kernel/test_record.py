"""Fields of the record of an exec: every kind of program, and every way to name it.

Expected values come from stat(2), from readlink of /proc, and from the test's own arguments of execve.
"""

import errno
import fcntl
import os
import struct
from contextlib import contextmanager
from pathlib import Path

import pytest

from exporter.kernel.ring_buffer import RingBuffer
from tests.kernel.programs import dynamic_elf, elf_interpreter, script, static_elf
from tests.kernel.tracing import (
    AT_EMPTY_PATH,
    NO_INTERPRETER,
    PLAIN,
    child,
    executed,
    execveat,
    facts_of,
    interpreter_facts,
    libc,
    mount,
    shows,
)

pytestmark = pytest.mark.both_ways


def generation(path):
    """Return the generation (FS_IOC_GETVERSION), or None if the filesystem has none."""
    with Path(path).open("rb") as file:
        try:
            return struct.unpack("i", fcntl.ioctl(file, 0x80087601, b"\0" * 4))[0] & 0xFFFFFFFF
        except OSError as error:
            if error.errno in (errno.ENOTTY, errno.EINVAL):
                return None
            raise


@pytest.mark.parametrize("pie", [False, True], ids=["static", "static-pie"])
def test_static_program(trace, tmp_path, pie):
    program = static_elf(tmp_path / "static", pie=pie)
    record, facts = executed(trace, str(program))
    path = str(program)
    shows(record, facts, NO_INTERPRETER, PLAIN, pathname=path, cmdpath=path, interp=path, script=False)
    assert record["generation"] == (generation(program) or record["generation"])
    assert record["comm"] == "static"
    assert record["cwd"] == str(Path.cwd())


def test_dynamic_program(trace, tmp_path):
    program = str(dynamic_elf(tmp_path / "dynamic"))
    record, facts = executed(trace, program)
    shows(record, facts, interpreter_facts(elf_interpreter(program)), PLAIN, pathname=program, cmdpath=program)


@pytest.mark.parametrize(
    ("interpreter", "argument"), [("/bin/sh", ""), ("/bin/sh", "-e"), ("/bin/true", "words that are one argument")]
)
def test_script(trace, tmp_path, interpreter, argument):
    path = str(script(tmp_path / "script", interpreter, argument))
    pid, _ = child(lambda _: os.execve(path, ["name", "a b"], {}))
    (record,) = trace.of(pid)
    image = os.path.realpath(interpreter)
    shows(record, facts_of(image), interpreter_facts(elf_interpreter(image)), PLAIN, pathname=image)
    shows(record, cmdpath=path, interp=interpreter, script=True, script_path=path)
    assert record["argv"] == [interpreter, *([argument] if argument else []), path, "a b"]
    assert record["argc"] == len(record["argv"])


def test_script_by_env(trace, tmp_path):
    path = str(script(tmp_path / "script", interpreter="/usr/bin/env", argument="sh"))
    pid, _ = child(lambda _: os.execve(path, ["name"], {"PATH": "/bin"}))
    by_env, by_shell = trace.of(pid)
    shows(by_env, cmdpath=path, interp="/usr/bin/env", script=True, argv=["/usr/bin/env", "sh", path])
    shows(by_shell, cmdpath="/bin/sh", interp="/bin/sh", script=False, argv=["sh", path])


def test_script_whose_interpreter_is_a_script(trace, tmp_path):
    inner = str(script(tmp_path / "inner"))
    outer = str(script(tmp_path / "outer", interpreter=inner))
    pid, _ = child(lambda _: os.execve(outer, ["name"], {}))
    (record,) = trace.of(pid)
    shows(record, cmdpath=outer, interp="/bin/sh", pathname=os.path.realpath("/bin/sh"))
    assert record["argv"] == ["/bin/sh", inner, outer]


def test_execveat_with_a_directory(trace, tmp_path):
    program = str(static_elf(tmp_path / "static"))
    directory = os.open(tmp_path, os.O_PATH)
    record, facts = executed(trace, program, execute=execveat(directory, "static"))
    os.close(directory)
    shows(record, facts, PLAIN, pathname=program, cmdpath=f"/dev/fd/{directory}/static")


def test_execveat_with_an_empty_path(trace, tmp_path):
    program = str(static_elf(tmp_path / "static"))
    descriptor = os.open(program, os.O_PATH | os.O_CLOEXEC)
    record, facts = executed(trace, program, execute=execveat(descriptor, "", AT_EMPTY_PATH))
    os.close(descriptor)
    shows(record, facts, PLAIN, pathname=program, cmdpath=f"/dev/fd/{descriptor}")


def executed_by_descriptor(trace, descriptor):
    record, facts = executed(trace, f"/proc/self/fd/{descriptor}", execute=execveat(descriptor, "", AT_EMPTY_PATH))
    os.close(descriptor)
    return record, facts


def test_memfd(trace, tmp_path):
    descriptor = os.memfd_create("a memory file", 0)
    os.write(descriptor, static_elf(tmp_path / "static").read_bytes())
    record, facts = executed_by_descriptor(trace, descriptor)
    shows(record, facts, pathname="/memfd:a memory file", memfd=True, path="[memfd]", links=0)


def test_temporary_file_without_a_name(trace, tmp_path):
    writable = os.open(tmp_path, os.O_TMPFILE | os.O_WRONLY, 0o755)
    os.write(writable, static_elf(tmp_path / "static").read_bytes())
    descriptor = os.open(f"/proc/self/fd/{writable}", os.O_PATH)
    os.close(writable)
    record, facts = executed_by_descriptor(trace, descriptor)
    shows(record, facts, deleted=True, memfd=False, path="[deleted]", links=0)
    assert record["pathname"].startswith(str(tmp_path) + "/#")


def test_file_deleted_after_it_was_opened(trace, tmp_path):
    program = static_elf(tmp_path / "static")
    descriptor = os.open(program, os.O_PATH)
    program.unlink()
    record, facts = executed_by_descriptor(trace, descriptor)
    shows(record, facts, pathname=str(program), deleted=True, path="[deleted]", links=0)


def test_hard_link_that_was_deleted_while_another_stays(trace, tmp_path):
    program = static_elf(tmp_path / "static")
    (tmp_path / "other").hardlink_to(program)
    descriptor = os.open(program, os.O_PATH)
    program.unlink()
    record, facts = executed_by_descriptor(trace, descriptor)
    shows(record, facts, pathname=str(program), deleted=True, links=1)


@contextmanager
def binfmt_misc(name, interpreter, magic):
    directory = Path("/proc/sys/fs/binfmt_misc")
    mounted = False
    if not (directory / "register").exists():
        try:
            mount("binfmt_misc", directory, "binfmt_misc")
            mounted = True
        except OSError as error:
            if "binfmt_misc" in Path("/proc/filesystems").read_text():
                raise
            pytest.skip(f"this kernel has no binfmt_misc: {error}")
    try:
        (directory / "register").write_text(f":{name}:M::{magic}::{interpreter}:")
        yield
        (directory / name).write_text("-1")
    finally:
        if mounted:
            libc.umount(os.fsencode(directory))


def test_program_of_another_format(trace, tmp_path):
    interpreter = str(static_elf(tmp_path / "interpreter"))
    program = tmp_path / "program"
    program.write_bytes(b"EXECTEST and more")
    program.chmod(0o755)
    with binfmt_misc("exec_exporter_test", interpreter, "EXECTEST"):
        pid, _ = child(lambda _: os.execve(program, ["name"], {}))
    (record,) = trace.of(pid)
    shows(record, facts_of(interpreter), pathname=interpreter, interp=interpreter, cmdpath=str(program), script=True)
    shows(record, path=str(program), interpreter=interpreter)


def test_dynamic_loader_started_directly(trace, tmp_path):
    program = str(dynamic_elf(tmp_path / "dynamic"))
    loader = elf_interpreter(program)
    record, facts = executed(trace, loader, arguments=(loader, program))
    shows(record, facts, NO_INTERPRETER, pathname=loader, argv=[loader, program])


def test_a_record_is_in_the_ring_buffer_until_it_was_taken(trace, tracer, tmp_path):
    """A process that is killed while it takes a record leaves it to the next one."""
    program = static_elf(tmp_path / "static")
    taken, left = [], []

    def take(record):
        if not taken:
            other = RingBuffer(tracer.maps["records"].fd)
            other.consume(left.append)
            other.close()
        taken.append(record)

    trace.records()
    child(lambda _: os.execve(program, ["x"], {}))
    tracer.receive(take)
    assert taken[0] == left[0]
