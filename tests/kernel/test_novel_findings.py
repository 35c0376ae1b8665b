"""Each novel binary is found at once and only once, with its path, content and reason."""

import hashlib
import os
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.kernel.command import served
from tests.kernel.novel import Host, new_elf, unmount, watching, within
from tests.kernel.programs import execute, script
from tests.kernel.tracing import MS_BIND, child, mount, own_mounts
from tests.waiting import until

PLANTED_SECONDS = 2.0


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    directory = tmp_path_factory.mktemp("watched")
    with watching(directory) as host:
        yield host


def sha256(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def digest_of(content):
    return hashlib.sha256(content).hexdigest()


def a_sleep():
    """Return a new program that runs for a while."""
    return Path(shutil.which("sleep")).read_bytes() + os.urandom(16)


def execute_in_memory(content):
    descriptor = os.memfd_create("some name")
    os.write(descriptor, content)
    os.execve(descriptor, ["sleep", "60"], {})


@contextmanager
def running(action):
    """Run a process that calls `action`, which ends in the exec of a long-running program."""
    pid = os.fork()
    if not pid:
        try:
            action()
        finally:
            os._exit(127)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_a_freshly_compiled_program_is_one_finding_until_it_is_accepted(tmp_path):
    source = tmp_path / "hello.c"
    source.write_text("int main(void) { return 0; }\n")
    program = tmp_path / "hello"
    compiled = shutil.which("cc")
    with watching(tmp_path) as host:
        if compiled:
            subprocess.run([compiled, "-o", program, source], check=True)
        else:
            new_elf(program)
        execute(program)
        until(lambda: host.open(program))
        others = iter(range(9))

        def another():
            other = new_elf(tmp_path / f"other-{next(others)}")
            execute(other)
            return lambda: host.open(other)

        assert within(PLANTED_SECONDS, another)
        assert host.open(program) == {str(program): "new_path"}
        ((_, reason, content, record),) = host.rows(program)
        assert (reason, content) == ("new_path", sha256(program))
        assert (record["pathname"], record["inode"]) == (str(program), program.stat().st_ino)
        counted = host.value("exec_novel_binaries_total", reason="new_path")
        assert host.found(tmp_path / "hello", lambda: execute(program, 3, stdin=None)) == {}
        # the canary is the test's only other program; other processes may have executed some
        assert host.value("exec_novel_binaries_total", reason="new_path") >= counted + 1
    with watching(tmp_path) as host:
        assert host.open(program) == {str(program): "new_path"}
        assert host.value("exec_novel_binaries_total", reason="new_path") >= counted
        assert host.found(tmp_path / "hello", lambda: execute(program)) == {}
        assert len(host.rows(program)) == 1
        listed = host.command("findings", "list")
        (line,) = [line for line in listed.splitlines() if str(program) in line]
        host.command("findings", "accept", line.split()[0], "--reason", "built here")
        until(lambda: not host.open(program))
        assert host.found(tmp_path / "hello", lambda: execute(program)) == {}
        assert host.open(program) == {}


def test_the_first_scrape_after_a_restart_goes_on_where_the_last_one_was(tmp_path):
    program = new_elf(tmp_path / "dropped")
    with watching(tmp_path) as host:
        execute(program)
        until(lambda: host.open(program))
        counted = host.value("exec_novel_binaries_total")
    with served(f"--catalogue.path={tmp_path}/catalogue.db", "--findings.series=10000") as service:
        host = Host(service, tmp_path / "catalogue.db", tmp_path)
        scraped = host.samples()
    total = sum(sample.value for sample in scraped if sample.name == "exec_novel_binaries_total")
    assert total >= counted
    assert [s for s in scraped if s.name.startswith("exec_novel_binary_first") and s.labels["path"] == str(program)]


def test_dropped_program(host, tmp_path):
    program = new_elf(tmp_path / "dropped")
    assert host.found(program, lambda: execute(program)) == {str(program): "new_path"}
    assert host.rows(program)[0][2] == sha256(program)


def test_a_copy_of_a_known_program_under_another_name(host, tmp_path):
    known = new_elf(tmp_path / "known")
    execute(known)
    copy = tmp_path / "copy"
    shutil.copy(known, copy)
    assert host.found(copy, lambda: execute(copy)) == {str(copy): "relocated"}


def test_content_that_changed_in_place_or_by_rename(host, tmp_path):
    first, second = new_elf(tmp_path / "first"), new_elf(tmp_path / "second")
    for program in (first, second):
        execute(program)
    host.catch_up()
    before = sha256(first)
    new_elf(first)
    new_elf(tmp_path / "new").rename(second)
    for program in (first, second):
        execute(program)
    host.catch_up()
    assert ("new_path", before) in [row[1:3] for row in host.rows(first)]
    for program in (first, second):
        assert {(row[1], row[2]) for row in host.rows(program)} >= {("content_changed", sha256(program))}
        assert len(host.rows(program)) == 2


def test_changed_content_with_a_change_time_set_back(host, tmp_path):
    """The same as after setting back the clock: debugfs writes the inode's change time on its filesystem."""
    image, mounted = tmp_path / "image", tmp_path / "mounted"
    mounted.mkdir()
    with image.open("wb") as file:
        file.truncate(8 << 20)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    program = mounted / "program"

    def on_it(action):
        subprocess.run(["mount", "-o", "loop", image, mounted], check=True)
        try:
            action()
            host.catch_up()
            return program.stat()
        finally:
            unmount(mounted)

    before = on_it(lambda: (new_elf(program), execute(program)))
    on_it(lambda: new_elf(program))  # in place: the same inode and generation
    long_ago = time.strftime("%Y%m%d%H%M%S", time.gmtime(before.st_ctime - 365 * 86400))
    subprocess.run(
        ["debugfs", "-w", "-R", f"set_inode_field program ctime {long_ago}", image], check=True, capture_output=True
    )
    after = on_it(lambda: execute(program))
    assert (after.st_ino, after.st_ctime < before.st_ctime) == (before.st_ino, True)
    assert sorted(row[1] for row in host.rows(program)) == ["content_changed", "new_path"]


def test_a_program_in_memory(host, tmp_path):
    content = a_sleep()
    for _ in range(3):
        with running(lambda: execute_in_memory(content)):
            until(lambda: digest_of(content) in {row[2] for row in host.rows("[memfd]")})
            host.catch_up()
    ((path, reason, record),) = [(row[0], row[1], row[3]) for row in host.rows() if row[2] == digest_of(content)]
    assert (path, reason, record["memfd"]) == ("[memfd]", "memfd", True)


def test_a_program_in_memory_that_has_ended_before_it_could_be_read(host, tmp_path):
    """Only its size is left to identify it."""
    content = new_elf(tmp_path / "content").read_bytes() + os.fsencode(tmp_path)

    def execute_it(_):
        descriptor = os.memfd_create("some name")
        os.write(descriptor, content)
        os.execve(descriptor, ["x"], {})

    child(execute_it)
    host.catch_up()
    contents = {row[2]: row[1] for row in host.rows("[memfd]")}
    assert "memfd" in (contents.get(digest_of(content)), contents.get(len(content).to_bytes(8, "big").hex()))


def test_a_script_in_memory(host, tmp_path):
    content = f"#!/bin/sh\n# {tmp_path}\nread nothing < {tmp_path}/pipe\n".encode()
    os.mkfifo(tmp_path / "pipe")  # blocks, and executes nothing

    def execute_it():
        descriptor = os.memfd_create("a script", 0)
        os.write(descriptor, content)
        os.execve(descriptor, ["x"], {})

    with running(execute_it):
        until(lambda: digest_of(content) in {row[2] for row in host.rows("[memfd]")})
        assert [(row[0], row[1]) for row in host.rows() if row[2] == digest_of(content)] == [("[memfd]", "memfd")]


def test_a_program_without_a_name_when_it_is_executed(host, tmp_path):
    program = tmp_path / "program"
    program.write_bytes(a_sleep())
    program.chmod(0o755)
    digest = sha256(program)

    def execute_it():
        descriptor = os.open(program, os.O_RDONLY | os.O_CLOEXEC)
        program.unlink()
        os.execve(descriptor, ["sleep", "60"], {})

    with running(execute_it):
        until(lambda: not program.exists())
        until(lambda: digest in {row[2] for row in host.rows("[deleted]")})
        assert [(row[0], row[1]) for row in host.rows() if row[2] == digest] == [("[deleted]", "deleted")]


def test_a_program_that_is_deleted_after_its_start(host, tmp_path):
    program = tmp_path / "sleep"
    program.write_bytes(a_sleep())
    program.chmod(0o755)
    digest = sha256(program)
    process = subprocess.Popen([program, "60"])
    try:
        # descriptors are closed on exec before the kernel reports the execution
        until(lambda: "State:\tS" in Path(f"/proc/{process.pid}/status").read_text())
        program.unlink()
        host.catch_up()
        assert [row[:3] for row in host.rows(program)] == [(str(program), "deleted", digest)]
    finally:
        process.kill()
        process.wait()


def test_a_new_script(host, tmp_path):
    path = script(tmp_path / "script", argument="-e")
    path.write_text(path.read_text() + f"# {tmp_path}\n")
    assert host.found(path, lambda: execute(path)) == {str(path): "script"}
    ((_, _, content, record),) = host.rows(path)
    assert content == sha256(path)
    assert record["interp"] == "/bin/sh"


def test_a_new_interpreter_of_a_script(host, tmp_path):
    """Only the kernel executes it."""
    interpreter = new_elf(tmp_path / "interpreter")
    path = script(tmp_path / "script", interpreter)
    found = host.found(tmp_path, lambda: execute(path))
    assert found == {str(path): "script", str(interpreter): "new_path"}


def test_interpreters_that_are_scripts(host, tmp_path):
    inner = script(tmp_path / "inner")
    middle = script(tmp_path / "middle", interpreter=str(inner))
    outer = script(tmp_path / "outer", interpreter=str(middle), argument="x")
    expected = {str(path): "script" for path in (inner, middle, outer)}
    assert host.found(tmp_path, lambda: execute(outer)) == expected
    assert {row[2] for row in host.rows(inner)} == {sha256(inner)}
    assert host.found(tmp_path, lambda: execute(outer, stdin=None)) == {}
    another = script(tmp_path / "another", interpreter=str(inner), argument="y")
    assert host.found(tmp_path, lambda: execute(another)) == {str(another): "script"}
    inner.write_text("#!/bin/sh\n: changed\n")
    execute(outer)  # nothing that the kernel identifies it by has changed
    host.scrape()
    until(lambda: ("content_changed", sha256(inner)) in {row[1:3] for row in host.rows(inner)})
    assert {row[1] for row in host.rows(outer)} == {"script"}


def test_a_script_that_changes(host, tmp_path):
    path = script(tmp_path / "script")
    path.write_text(f"#!/bin/sh\n# {tmp_path}\n")
    execute(path)
    host.catch_up()
    path.write_text(f"#!/bin/sh\n# {tmp_path} otherwise\n")
    # without a hook, scripts are known as invoked: only a scrape shows that it was executed again
    until(lambda: execute(path) or (host.samples() and len(host.rows(path)) == 2))
    assert {(row[1], row[2]) for row in host.rows(path)} >= {("content_changed", sha256(path))}


def test_a_file_written_to_the_upper_layer_of_a_container(host, tmp_path):
    for name in ("lower", "upper", "work", "merged"):
        (tmp_path / name).mkdir()
    merged = tmp_path / "merged"
    image = new_elf(tmp_path / "lower/image")

    def execute_it(name):
        def action(_):
            own_mounts()
            layers = f"lowerdir={tmp_path}/lower,upperdir={tmp_path}/upper,workdir={tmp_path}/work"
            mount("none", merged, "overlay", data=layers)
            if name == "written":
                shutil.copy(tmp_path / "there", merged / name)
            os.execve(merged / name, ["x"], {})

        child(action)

    new_elf(tmp_path / "there")
    assert host.found(merged, lambda: execute_it("image")) == {str(merged / "image"): "new_path"}
    assert host.found(merged, lambda: execute_it("written")) == {str(merged / "written"): "upper_layer"}
    assert image.exists()


def test_an_inode_number_that_is_used_again_within_a_tick_of_the_clock(host, tmp_path):
    """ext4 reuses the number at once; only the generation distinguishes the files."""
    image, mounted = tmp_path / "image", tmp_path / "mounted"
    mounted.mkdir()
    with image.open("wb") as file:
        file.truncate(8 << 20)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, mounted], check=True)
    try:
        for number in range(60):  # some pairs fall into one tick
            program = new_elf(mounted / f"program-{number}")
            execute(program)
            program.unlink()
            new_elf(program)
            execute(program)
        host.catch_up()
        found = {}
        for path, reason, content, record in host.rows(mounted):
            found.setdefault(path, []).append((record["inode"], record["ctime"], record["generation"], reason, content))
        assert len(found) == 60
        same = 0
        for path, pair in found.items():
            assert len(pair) == 2, pair
            first, second = pair
            assert {first[3], second[3]} == {"new_path", "content_changed"}
            assert sha256(path) in (first[4], second[4])
            same += first[:2] == second[:2] and first[2] != second[2]
        assert same, "the number was used again in the same tick at least once"
    finally:
        unmount(mounted)


def test_a_program_in_a_container_and_in_a_chroot(host, tmp_path):
    """The content is that of the file in the container, not of a file on the host with the same path."""
    root = tmp_path / "root"
    (root / "bin").mkdir(parents=True)
    inside = new_elf(root / "bin/inside")

    def in_chroot(_):
        own_mounts()
        mount(root, root, flags=MS_BIND)
        os.chroot(root)
        os.execve("/bin/inside", ["x"], {})

    child(in_chroot)
    host.catch_up()
    assert [row[:3] for row in host.rows(inside)] == [(str(inside), "new_path", sha256(inside))]


def test_setuid_in_a_writable_directory_is_not_learnt(tmp_path, public_directory):
    open_to_all = public_directory / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o1777)
    setuid, plain, content = new_elf(open_to_all / "setuid"), new_elf(open_to_all / "plain"), a_sleep()
    setuid.chmod(0o4755)

    with watching(tmp_path, learning="1h", state="learning") as host:
        execute(plain)
        execute(setuid)
        with running(lambda: execute_in_memory(content)):
            until(lambda: host.open(setuid) == {str(setuid): "new_path"})
            until(lambda: digest_of(content) in {row[2] for row in host.rows("[memfd]")})
        assert host.open(plain) == {}
    with watching(tmp_path, learning="1ms") as host:
        assert host.found(plain, lambda: execute(plain)) == {}
