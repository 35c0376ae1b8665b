"""Finding an executed file again, and no other file that has taken its path."""

import hashlib
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from exporter.catalogue.catalogue import HOST_SCOPE
from exporter.escape import escape
from exporter.events.decode import Identity
from exporter.host.packages import Owner, Packages
from exporter.host.procfs import Process
from exporter.novelty.executed_file import ExecutedFile, FileFacts
from exporter.novelty.file_content import HOST, Reader
from exporter.novelty.hashing import Hasher

NEVER = Process(1 << 30, 0, 0)


def facts_of(path):
    status = path.stat()
    device = os.major(status.st_dev), os.minor(status.st_dev)
    return FileFacts(device, status.st_ino, status.st_ctime_ns, status.st_size, status.st_mode)


def executed_of(path, **changes):
    name = os.fsencode(path)
    facts = facts_of(path)
    identity = Identity(facts.inode, facts.dev, 0, facts.ctime, 1)
    return replace(ExecutedFile(escape(name), "", name, identity, facts, NEVER), **changes)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"content")
    return path


@pytest.fixture
def reader():
    return Reader("/", Hasher(), Packages())


def look(reader, executed):
    return reader.look(executed, lambda _: False)


def test_a_file_at_its_path(reader, file):
    found = look(reader, executed_of(file))
    assert (found.digest, found.size) == (hashlib.sha256(b"content").digest(), 7)
    assert found.named_in == {HOST}
    assert not found.writable_directory


@pytest.mark.parametrize("change", [{"inode": 1}, {"ctime": 1}, {"size": 1}, {"dev": (8, 99)}, {"generation": 123}])
def test_another_file_is_never_taken_for_it(reader, file, change):
    executed = executed_of(file)
    other = replace(executed, facts=replace(executed.facts, **change))
    if "generation" in change and look(reader, other).digest:
        pytest.skip("this filesystem does not tell generations")
    assert look(reader, other).digest is None


def test_a_file_that_was_changed_or_removed_is_unknown(reader, file):
    executed = executed_of(file)
    file.write_bytes(b"evil!!!")
    os.utime(file, ns=(1, executed.facts.ctime))
    assert look(reader, executed).digest is None
    file.unlink()
    assert look(reader, executed).digest is None
    assert look(reader, executed).size == 7, "as the kernel saw it"


def test_no_device_or_pipe_is_ever_opened(reader, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert look(reader, executed_of(pipe, facts=None, script=True)).digest is None
    assert look(reader, executed_of(pipe)).digest is None


def test_a_known_file_is_not_read(reader, file):
    executed = executed_of(file)
    asked = []
    assert reader.look(executed, lambda identity: asked.append(identity) or True).digest is None
    assert asked == [executed.identity]


def test_limits(file):
    assert look(Reader("/", Hasher(6), Packages()), executed_of(file)).digest is None
    assert look(Reader("/", Hasher(7), Packages()), executed_of(file)).digest
    assert look(Reader("/", None, Packages()), executed_of(file)).digest is None


def test_a_running_program_is_read_though_its_name_is_gone(reader, tmp_path):
    program = tmp_path / "sleep"
    program.write_bytes(Path("/usr/bin/sleep").read_bytes() + os.urandom(8))
    program.chmod(0o755)
    digest = hashlib.sha256(program.read_bytes()).digest()
    process = subprocess.Popen([program, "60"])
    try:
        ticks = int(Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[19])
        start = ticks * (1_000_000_000 // os.sysconf("SC_CLK_TCK"))
        executed = executed_of(program, process=Process(process.pid, start), runs=True)
        found = look(reader, executed)
        assert found.digest == digest
        assert not reader.is_gone(found)
        program.unlink()
        assert reader.is_gone(found)
        found = look(reader, executed)
        assert found.digest == digest
        assert reader.is_gone(found), "also if it was gone before it was looked at"
        reused = replace(executed, process=Process(process.pid, start + 10_000_000_000))
        assert look(reader, reused).digest is None, "another process that has the number now"
    finally:
        process.kill()
        process.wait()


class Interfering:
    """A throttle that changes the file before it allows a number of reads."""

    def __init__(self, interfere, times=1):
        self._interfere, self._times = interfere, times

    def take(self, count):
        self._times -= 1
        if self._times >= 0:
            self._interfere()


def test_a_running_program_whose_name_goes_while_it_is_read(tmp_path):
    program = tmp_path / "sleep"
    program.write_bytes(Path("/usr/bin/sleep").read_bytes() + os.urandom(8))
    program.chmod(0o755)
    digest, executed = hashlib.sha256(program.read_bytes()).digest(), executed_of(program)
    process = subprocess.Popen([program, "60"])
    try:
        runs = replace(executed, process=Process(process.pid), runs=True)
        for_ever = Interfering(lambda: program.chmod(0o755), times=1000)
        assert look(Reader("/", Hasher(throttle=for_ever), Packages()), runs).digest is None
        reader = Reader("/", Hasher(throttle=Interfering(program.unlink)), Packages())
        assert look(reader, runs).digest == digest
    finally:
        process.kill()
        process.wait()


def test_a_file_that_is_changed_while_it_is_read_is_unknown(file):
    reader = Reader("/", Hasher(throttle=Interfering(lambda: file.chmod(0o755))), Packages())
    assert look(reader, executed_of(file)).digest is None


def test_a_script_as_invoked_gets_its_own_name_and_the_same_identity_through_every_link(reader, tmp_path):
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    interpreter = os.path.realpath("/bin/sh")
    interpreter_file = os.fsencode(interpreter), facts_of(Path(interpreter))
    found = []
    for number in range(3):
        link = tmp_path / f"link-{number}"
        link.symlink_to(script)
        executed = executed_of(script, name=os.fsencode(link), facts=None, script=True)
        found.append(look(reader, replace(executed, interpreter_file=interpreter_file)))
        assert look(reader, executed).digest is None, "nothing says that it was one of this root directory"
        other = interpreter_file[0], replace(interpreter_file[1], inode=1)
        assert look(reader, replace(executed, interpreter_file=other)).digest is None
    assert {one.executed.path for one in found} == {str(script)}
    assert len({one.executed.identity for one in found}) == 1
    assert {one.digest for one in found} == {hashlib.sha256(b"#!/bin/sh\n").digest()}


def test_a_directory_for_everybody(reader, tmp_path, file):
    tmp_path.chmod(0o1777)
    assert look(reader, executed_of(file)).writable_directory


class Database:
    def __init__(self, digest):
        self._digest = digest

    def owner(self, path):
        return Owner("dpkg", "tool", recorded=self._digest) if path.endswith(b"/file") else None

    def installed(self):
        return {"tool"}


@pytest.mark.parametrize(("content", "said"), [(b"content", "agrees"), (b"another", "differs")])
def test_a_package_is_asked_about_files_of_the_host(file, content, said):
    packages = Packages([Database(hashlib.md5(content).digest())])
    found = look(Reader("/", Hasher(), packages), executed_of(file))
    assert (found.package.package, found.package.digest) == ("tool", said)


def test_a_package_is_asked_about_a_file_that_is_gone_if_its_process_was_of_the_host(tmp_path, file):
    """So its maintainer scripts are known, however soon they are removed."""
    packages, process = Packages([Database(b"")]), Process(NEVER.pid, parent=os.getpid())
    executed, orphan = executed_of(file, process=process, scope=None), executed_of(file, scope=None)
    file.unlink()
    found = look(Reader("/", Hasher(), packages), executed)
    assert (found.digest, found.package.package, found.package.digest) == (None, "tool", "unknown")
    assert look(Reader("/", Hasher(), packages), orphan).package is None
    assert look(Reader("/", Hasher(), packages), replace(orphan, scope=HOST_SCOPE)).package, "as the kernel shows"
    assert look(Reader("/", Hasher(), packages), replace(orphan, scope=1)).package is None
    assert look(Reader(str(tmp_path), Hasher(), packages), executed).package is None


def test_a_file_of_the_host_that_was_removed_before_it_was_looked_at_is_gone(reader, file):
    executed = executed_of(file)
    file.unlink()
    found = look(reader, executed)
    assert (found.digest, found.size) == (None, 7)
    assert reader.is_gone(found)
    assert not reader.is_replaced(found)
    assert not reader.is_gone(look(reader, replace(executed, scope=1)))


def test_a_running_program_that_has_another_name_left(reader, tmp_path):
    program = tmp_path / "sleep"
    shutil.copy(shutil.which("sleep"), program)
    (tmp_path / "link").hardlink_to(program)
    executed = executed_of(program)
    with subprocess.Popen([program, "60"]) as process:
        program.unlink()
        found = look(reader, replace(executed, process=Process(process.pid), runs=True))
        process.kill()
    assert found.digest == hashlib.sha256((tmp_path / "link").read_bytes()).digest()
    assert reader.is_gone(found)


def test_a_file_in_its_place(reader, file):
    found = look(reader, executed_of(file))
    assert not reader.is_replaced(found)
    file.chmod(0o755)
    assert not reader.is_replaced(found), "the same file"
    other = file.with_name("other")
    other.write_bytes(b"another")
    other.rename(file)
    assert reader.is_replaced(found)
    assert not reader.is_gone(found)
    file.unlink()
    assert not reader.is_replaced(found)


@pytest.mark.parametrize("line", [b"#!%s", b"#! %s x\n", b"#!\t%s\tx", b"#!%s\0"])
def test_interpreters_that_are_scripts(reader, tmp_path, line):
    names = [tmp_path / name for name in ("outer", "middle", "inner")]
    for name, below in zip(names, (*names[1:], "/bin/sh"), strict=True):
        name.write_bytes(line % os.fsencode(below))
    outer = executed_of(names[0], script=True, interpreter_file=(b"/bin/sh", facts_of(Path("/bin/sh"))))
    found = list(reader.interpreters(outer))
    assert [each.path for each in found] == [str(name) for name in names[1:]]
    assert [each.facts.inode for each in found] == [name.stat().st_ino for name in names[1:]]
    assert [look(reader, each).digest for each in found] == [
        hashlib.sha256(name.read_bytes()).digest() for name in names[1:]
    ]
    assert list(Reader("/", None, Packages()).interpreters(outer)) == []


def test_interpreters_that_name_each_other(reader, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_bytes(b"#!%s" % os.fsencode(second))
    second.write_bytes(b"#!%s" % os.fsencode(first))
    script = executed_of(first, script=True, interpreter_file=(b"/bin/sh", facts_of(Path("/bin/sh"))))
    assert len(list(reader.interpreters(script))) == 5, "the kernel refuses more"


@pytest.mark.parametrize("content", [b"", b"#!", b"#!relative", b"#! \n/x", b"\x7fELF", b"#!/nonexistent"])
def test_no_interpreter_that_is_a_script(reader, file, content):
    file.write_bytes(content)
    script = executed_of(file, script=True, interpreter_file=(b"/bin/sh", facts_of(Path("/bin/sh"))))
    assert list(reader.interpreters(script)) == []


def test_another_root_directory(tmp_path, file):
    """Paths are resolved below it, links included."""
    (tmp_path / "escape").symlink_to("/etc/passwd")
    reader = Reader(str(tmp_path), Hasher(), Packages())
    assert look(reader, executed_of(file, name=b"/file")).digest == hashlib.sha256(b"content").digest()
    assert look(reader, executed_of(file, name=b"/escape")).digest is None


def test_it_leaks_no_descriptor(reader, file):
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for _ in range(20):
        look(reader, executed_of(file))
        look(reader, executed_of(file, facts=None, script=True))
        look(reader, replace(executed_of(file), process=Process(os.getpid()), runs=True))
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
