"""The record of an exec is right, field by field, however the program was started.

What is expected comes from elsewhere: stat(2), readlink of /proc, what the test itself passed to execve.
"""

import ctypes
import errno
import json
import os
import re
import resource
import shutil
import socket
import stat
import struct
import tempfile
import threading
import time
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from exporter.decode import Decoder
from exporter.escape import escape
from exporter.fields import FIELDS
from exporter.probe import ProbeSettings, Tracer
from exporter.record import as_json
from tests.kernel.programs import dynamic_elf, elf_interpreter, script, static_elf
from tests.kernel.test_executions import open_stdin

libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS = 0x00020000
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
AT_EMPTY_PATH = 0x1000
SYS_EXECVEAT = {"x86_64": 322, "aarch64": 281}[os.uname().machine]
RECORDED = 1 << 16


class Trace:
    def __init__(self, tracer):
        self._tracer = tracer
        self._decoder = Decoder(tracer.layouts)
        self._boot = time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def records(self):
        """Everything that was executed on this machine since the last call."""
        for raw in self._tracer.introductions():
            introduction = self._decoder.introduction(raw)
            yield as_json(self._decoder.key(introduction.key), introduction, {}, boot_time_ns=self._boot)

    def of(self, pid):
        return [record for record in self.records() if record["pid"] == pid]


@pytest.fixture(scope="module")
def trace():
    settings = ProbeSettings(introductions_pages=2048, argv_bytes=RECORDED, env_bytes=RECORDED)
    with closing(Tracer(settings)) as tracer:
        tracer.attach()
        yield Trace(tracer)


def checked(result, *_):
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def mount(source, target, kind=None, flags=0, data=None):
    encoded = [os.fsencode(text) if text is not None else None for text in (source, target, kind)]
    checked(libc.mount(*encoded, flags, data.encode() if data else None))


def own_mounts():
    checked(libc.unshare(CLONE_NEWNS))
    mount("none", "/", flags=MS_REC | MS_PRIVATE)


def child(action):
    """Forks; the child calls `action`, which ends in an exec. Returns its pid and what it passed to `tell` before."""
    read, write = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if not pid:
        try:
            action(lambda facts: os.write(write, json.dumps(facts).encode()))
        except BaseException as error:  # noqa: BLE001 - the parent has to hear of it
            os.write(write, json.dumps({"failed": repr(error)}).encode())
        finally:
            os._exit(127)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        told = pipe.read()
    _, status = os.waitpid(pid, 0)
    facts = json.loads(told) if told else None
    assert not (facts and "failed" in facts), facts
    assert os.waitstatus_to_exitcode(status) == 0
    return pid, facts


def executed(trace, path, arguments=("x", "y z"), environment=None, prepare=lambda: None, execute=os.execve):
    """One record, and stat(2) of the file as the child saw it just before."""
    environment = {"NAME": "value", "OTHER": ""} if environment is None else environment

    def action(tell):
        prepare()
        tell(facts_of(path))
        execute(path, arguments, environment)

    pid, facts = child(action)
    (record,) = trace.of(pid)
    assert record["argv"] == list(arguments)
    assert record["env"] == [f"{name}={value}" for name, value in environment.items()]
    assert (record["argc"], record["envc"]) == (len(arguments), len(environment))
    assert (record["pid"], record["ppid"], record["uid"], record["gid"]) == (pid, os.getpid(), 0, 0)
    return record, facts


def facts_of(path):
    found = Path(path).stat()
    return {
        "dev": f"{os.major(found.st_dev)}:{os.minor(found.st_dev)}",
        "inode": found.st_ino,
        "ctime": found.st_ctime_ns,
        "inode_mode": found.st_mode,
        "size": found.st_size,
        "links": found.st_nlink,
    }


def interpreter_facts(path):
    facts = facts_of(path)
    return {
        "interpreter_pathname": str(path),
        **{f"interpreter_{name}": facts[name] for name in ("dev", "inode", "ctime")},
    }


NO_INTERPRETER = dict.fromkeys(("interpreter_pathname", "interpreter_dev", "interpreter_inode", "interpreter_ctime"))
PLAIN = {
    "invoked_from_kernel": False,
    "memfd": False,
    "deleted": False,
    "disconnected": False,
    "truncated": [],
    "unreadable": [],
}


def shows(record, *expected, **more):
    """Asserts that the record has these values; says which are wrong."""
    wanted = {key: value for part in expected for key, value in part.items()} | more
    assert {key: record[key] for key in wanted} == wanted


def generation(path):
    """FS_IOC_GETVERSION, or None where the filesystem has none."""
    import fcntl

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
    shows(record, cmdpath=path, interp=interpreter, script=True, script_path="as invoked")
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


def execveat(directory, name, flags=0):
    def execute(_path, arguments, environment):
        vectors = [
            (ctypes.c_char_p * (len(strings) + 1))(*map(os.fsencode, strings), None)
            for strings in (arguments, [f"{key}={value}" for key, value in environment.items()])
        ]
        libc.syscall(SYS_EXECVEAT, directory, os.fsencode(name), *vectors, flags)
        raise OSError(ctypes.get_errno(), "execveat")

    return execute


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


def test_setuid_program(trace, tmp_path):
    program = static_elf(tmp_path / "static")
    os.chown(program, 0, 0)
    program.chmod(0o4755)
    for directory in (tmp_path, *tmp_path.parents[:2]):
        directory.chmod(0o755)

    def action(_):
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        os.execve(program, ["x"], {})

    pid, _ = child(action)
    (record,) = trace.of(pid)
    shows(record, facts_of(program), uid=65534, gid=65534)
    assert record["inode_mode"] & stat.S_ISUID


def test_program_in_a_chroot(trace, tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    program = static_elf(root / "static")
    record, facts = executed(trace, "/static", prepare=lambda: (os.chroot(root), os.chdir("/")), execute=os.execve)
    shows(record, facts, PLAIN, pathname=str(program), cmdpath="/static", cwd=str(root))


def test_program_behind_a_bind_mount(trace, tmp_path):
    for name in ("there", "here"):
        (tmp_path / name).mkdir()
    static_elf(tmp_path / "there/static")

    def prepare():
        own_mounts()
        mount(tmp_path / "there", tmp_path / "here", flags=MS_BIND)

    record, facts = executed(trace, str(tmp_path / "here/static"), prepare=prepare)
    shows(record, facts, PLAIN, pathname=str(tmp_path / "here/static"))


def test_program_that_is_a_mount_point_itself(trace, tmp_path):
    program = static_elf(tmp_path / "there")
    (tmp_path / "here").touch()

    def prepare():
        own_mounts()
        mount(program, tmp_path / "here", flags=MS_BIND)

    record, facts = executed(trace, str(tmp_path / "here"), prepare=prepare)
    shows(record, facts, PLAIN, pathname=str(tmp_path / "here"))


def test_program_on_tmpfs_in_another_mount_namespace_below_nested_mounts(trace, tmp_path):
    program = static_elf(tmp_path / "static").read_bytes()
    outer = tmp_path / "outer"
    outer.mkdir()

    def prepare():
        own_mounts()
        mount("none", outer, "tmpfs")
        (outer / "a/inner").mkdir(parents=True)
        mount("none", outer / "a/inner", "tmpfs")
        (outer / "a/inner/static").write_bytes(program)
        (outer / "a/inner/static").chmod(0o755)

    record, facts = executed(trace, str(outer / "a/inner/static"), prepare=prepare)
    shows(record, facts, PLAIN, pathname=str(outer / "a/inner/static"))


@pytest.mark.parametrize("layer", ["lower", "upper", "copied up"])
def test_program_on_an_overlay(trace, tmp_path, layer):
    base = tmp_path / "base"
    base.mkdir()
    merged = tmp_path / "merged"
    merged.mkdir()
    data = static_elf(tmp_path / "static").read_bytes()

    def action(tell):
        own_mounts()
        mount("none", base, "tmpfs")
        for name in ("lower", "upper", "work"):
            (base / name).mkdir()
        (base / ("upper" if layer == "upper" else "lower") / "static").write_bytes(data)
        try:
            mount("none", merged, "overlay", data=f"lowerdir={base}/lower,upperdir={base}/upper,workdir={base}/work")
        except OSError as error:
            tell({"skip": f"no overlay: {error}"})
            os.execve(shutil.which("true"), ["true"], {})
        if layer == "copied up":
            (merged / "static").touch()
        (merged / "static").chmod(0o755)
        below = base / ("lower" if layer == "lower" else "upper") / "static"
        if layer == "lower":
            libc.umount(os.fsencode(merged))
            below.chmod(0o755)
            for name in ("upper", "work"):
                shutil.rmtree(base / name)
                (base / name).mkdir()
            mount("none", merged, "overlay", data=f"lowerdir={base}/lower,upperdir={base}/upper,workdir={base}/work")
        found = facts_of(below)
        tell({**facts_of(merged / "static"), "backing_dev": found["dev"], "backing_inode": found["inode"]})
        os.execve(merged / "static", ["x"], {})

    pid, facts = child(action)
    if "skip" in facts:
        assert "overlay" not in Path("/proc/filesystems").read_text()
        pytest.skip(facts["skip"])
    (record,) = trace.of(pid)
    shows(record, facts, PLAIN, pathname=str(merged / "static"))


def test_elf_interpreter_on_an_overlay(trace):
    """The kernel maps the file below the overlay; the path is nevertheless that on the overlay."""
    base = Path(tempfile.mkdtemp(prefix="e", dir="/tmp"))
    loader = elf_interpreter(shutil.which("true"))

    def action(tell):
        own_mounts()
        mount("none", base, "tmpfs")
        for name in ("l", "u", "w", "m"):
            (base / name).mkdir()
        shutil.copy(loader, base / "l/ld")
        mount("none", base / "m", "overlay", data=f"lowerdir={base}/l,upperdir={base}/u,workdir={base}/w")
        program = dynamic_elf(base / "program")
        data = program.read_bytes()
        named = re.search(rb"/[!-~]*/ld[!-~]*\0", data)[0]
        program.write_bytes(data.replace(named, os.fsencode(base / "m/ld").ljust(len(named), b"\0"), 1))
        tell(interpreter_facts(base / "m/ld"))
        os.execve(program, ["x"], {})

    try:
        pid, facts = child(action)
    finally:
        base.rmdir()
    (record,) = trace.of(pid)
    shows(record, facts, interpreter=str(base / "m/ld"))


def test_path_of_4095_bytes(trace, tmp_path):
    def prepare():
        os.chdir(tmp_path)
        left = 4095 - len(os.fsencode(tmp_path)) - 1
        while left > 255:
            name = "d" * min(200, left - 2)
            Path(name).mkdir(exist_ok=True)
            os.chdir(name)
            left -= len(name) + 1
        static_elf("s" * left)

    pid, _ = child(lambda tell: (prepare(), os.execve(shutil.which("true"), ["true"], {})))
    trace.of(pid)
    path = str(tmp_path)
    while len(path) < 4095:
        (path,) = map(str, Path(path).iterdir())
    assert len(path) == 4095
    record, facts = executed(trace, path)
    shows(record, facts, PLAIN, pathname=path, cmdpath=path)


def test_path_longer_than_the_kernel_takes_in_one_piece(trace, tmp_path):
    """Such a file can only be reached step by step; its record says that the path was cut."""

    def action(_):
        os.chdir(tmp_path)
        for _ in range(25):
            Path("d" * 200).mkdir()
            os.chdir("d" * 200)
        static_elf("static")
        os.execve("./static", ["x"], {})

    pid, _ = child(action)
    (record,) = trace.of(pid)
    assert "pathname" in record["truncated"]
    assert record["pathname"].startswith("[truncated]/")
    assert record["pathname"].endswith("d" * 200 + "/static")
    assert record["path"].startswith("[truncated]/")


def test_path_of_70_components(trace, tmp_path):
    directory = tmp_path / "/".join(["d"] * (70 - len(tmp_path.parts)))
    directory.mkdir(parents=True)
    path = str(static_elf(directory / "static"))
    assert path.count("/") == 70
    record, facts = executed(trace, path)
    shows(record, facts, PLAIN, pathname=path)


def test_no_arguments_at_all(trace, tmp_path):
    """Linux 5.18 and newer give an empty argv[0] to those who pass none: dcd46d897adb."""
    program = static_elf(tmp_path / "static")
    pid, _ = child(lambda _: execveat(-1, str(program))(None, [], {}))
    (record,) = trace.of(pid)
    assert (record["argc"], record["argv"], record["argv_bytes"]) in [(1, [""], 1), (0, [], 0)]
    shows(record, envc=0, env=[], env_bytes=0)


def long_arguments(trace, tmp_path, arguments, environment):
    program = static_elf(tmp_path / "static")
    _, hard = resource.getrlimit(resource.RLIMIT_STACK)

    def action(_):
        resource.setrlimit(resource.RLIMIT_STACK, (64 << 20, hard))
        os.execve(program, arguments, environment)

    pid, _ = child(action)
    (record,) = trace.of(pid)
    return record


def test_a_hundred_thousand_arguments(trace, tmp_path):
    arguments = [str(number) for number in range(100_000)]
    record = long_arguments(trace, tmp_path, arguments, {})
    shows(record, argc=100_000, argv_bytes=sum(map(len, arguments)) + 100_000, truncated=["argv"])
    assert record["argv"][:-1] == arguments[: len(record["argv"]) - 1]
    assert sum(len(argument) + 1 for argument in record["argv"]) in (RECORDED, RECORDED + 1)


def test_two_megabytes_of_arguments(trace, tmp_path):
    record = long_arguments(trace, tmp_path, ["a" * 100_000] * 21, {})
    shows(record, argc=21, argv_bytes=21 * 100_001, truncated=["argv"], argv=["a" * RECORDED])


def test_a_megabyte_of_environment(trace, tmp_path):
    environment = {f"NAME{number}": "v" * 100_000 for number in range(10)}
    record = long_arguments(trace, tmp_path, ["x"], environment)
    size = sum(len(name) + 1 + len(value) + 1 for name, value in environment.items())
    shows(record, envc=10, env_bytes=size, truncated=["env"], argv=["x"])


def test_arguments_that_are_not_text(trace, tmp_path):
    program = static_elf(tmp_path / "static")
    arguments = [b"\xff", b"", b"new\nline", b'"', b"\\"]
    pid, _ = child(lambda _: os.execve(program, arguments, {b"\xfe": b"\x1b"}))
    (record,) = trace.of(pid)
    shows(record, argv=[escape(argument) for argument in arguments], env=[escape(b"\xfe=\x1b")])


@pytest.mark.parametrize("kind", ["file", "pipe", "socket", "tty", "null", "chardev", "directory", "anon", "closed"])
def test_stdin(trace, tmp_path, kind):
    program = static_elf(tmp_path / "static")
    descriptors = open_stdin(kind, tmp_path)
    link = str(Path(f"/proc/self/fd/{descriptors[0]}").readlink()) if descriptors[0] is not None else None

    def action(_):
        os.close(0) if descriptors[0] is None else os.dup2(descriptors[0], 0)
        os.execve(program, ["x"], {})

    pid, _ = child(action)
    for descriptor in filter(None, descriptors):
        os.close(descriptor)
    (record,) = trace.of(pid)
    shows(record, stdin_type=kind, stdin_path=link)


@pytest.mark.parametrize("kind", ["memfd", "deleted file", "named pipe", "named socket end"])
def test_stdin_without_an_ordinary_name(trace, tmp_path, kind):
    program = static_elf(tmp_path / "static")
    if kind == "memfd":
        descriptor = os.memfd_create("input", 0)
    elif kind == "deleted file":
        descriptor = os.open(tmp_path / "input", os.O_RDWR | os.O_CREAT)
        (tmp_path / "input").unlink()
    elif kind == "named pipe":
        os.mkfifo(tmp_path / "fifo")
        descriptor = os.open(tmp_path / "fifo", os.O_RDWR)
    else:
        server = socket.socket(socket.AF_UNIX)
        server.bind(str(tmp_path / "s"))
        descriptor = server.detach()
    link = str(Path(f"/proc/self/fd/{descriptor}").readlink())
    pid, _ = child(lambda _: (os.dup2(descriptor, 0), os.execve(program, ["x"], {})))
    os.close(descriptor)
    (record,) = trace.of(pid)
    shows(record, stdin_path=link)


def test_exec_from_a_thread_that_is_not_the_leader(trace, tmp_path):
    program = str(static_elf(tmp_path / "static"))

    def action(_):
        threading.Thread(target=os.execve, args=(program, ["x"], {})).start()
        threading.Event().wait()

    pid, _ = child(action)
    (record,) = trace.of(pid)
    shows(record, facts_of(program), PLAIN, pid=pid, ppid=os.getpid(), pathname=program)


def test_posix_spawn_which_uses_vfork(trace, tmp_path):
    program = str(static_elf(tmp_path / "static"))
    pid = os.posix_spawn(program, ["x"], {"A": "B"})
    os.waitpid(pid, 0)
    (record,) = trace.of(pid)
    shows(record, facts_of(program), PLAIN, ppid=os.getpid(), argv=["x"], env=["A=B"])


def test_two_execs_in_one_process(trace, tmp_path):
    second = str(static_elf(tmp_path / "second"))
    env = shutil.which("env")
    pid, _ = child(lambda _: os.execve(env, ["env", second], {}))
    records = trace.of(pid)
    assert [record["pathname"] for record in records] == [os.path.realpath(env), second]
    assert records[0]["start_time"] == records[1]["start_time"]
    assert records[0]["time"] < records[1]["time"]


def test_times_are_those_of_the_process(trace, tmp_path):
    program = static_elf(tmp_path / "static")
    before = time.time_ns()
    pid, _ = child(lambda _: os.execve(program, ["x"], {}))
    after = time.time_ns()
    (record,) = trace.of(pid)
    slack = 50_000_000  # the clocks are read one after the other
    assert before - slack <= record["start_time"] <= record["time"] <= after + slack


def test_cgroup_is_the_inode_of_its_directory(trace, tmp_path):
    hierarchy = next((m.split()[1] for m in Path("/proc/mounts").read_text().splitlines() if " cgroup2 " in m), None)
    if hierarchy is None:
        assert "cgroup2" not in Path("/proc/mounts").read_text()
        pytest.skip("no cgroup v2 hierarchy is mounted")
    group = Path(hierarchy) / f"exec_exporter-test-{os.getpid()}"
    group.mkdir()
    try:
        program = static_elf(tmp_path / "static")

        def action(_):
            (group / "cgroup.procs").write_text("0")
            os.execve(program, ["x"], {})

        pid, _ = child(action)
        (record,) = trace.of(pid)
        assert record["cgroup"] == group.stat().st_ino
    finally:
        group.rmdir()


def test_program_started_by_the_kernel(trace, tmp_path):
    """core_pattern with a pipe: the kernel starts the program that takes the core dump."""
    helper = static_elf(tmp_path / "helper")
    for directory in (tmp_path, *tmp_path.parents[:2]):
        directory.chmod(0o755)
    pattern = Path("/proc/sys/kernel/core_pattern")
    before = pattern.read_text()
    pattern.write_text(f"|{helper} %P")
    try:
        pid = os.fork()
        if not pid:
            resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)
            os.abort()
        _, status = os.waitpid(pid, 0)
    finally:
        pattern.write_text(before)
    assert os.WCOREDUMP(status)
    (record,) = [record for record in trace.records() if record["pathname"] == str(helper)]
    shows(record, facts_of(helper), NO_INTERPRETER, invoked_from_kernel=True, argv=[str(helper), str(pid)])
    shows(record, stdin_type="pipe")


def test_a_kernel_that_shows_everything_leaves_no_field_null(trace, tmp_path):
    program = str(dynamic_elf(tmp_path / "dynamic"))
    record, _ = executed(trace, program)
    assert [field for field in FIELDS if record[field] is None] == []


def test_without_a_feature_its_fields_are_null_and_say_why(tmp_path):
    from exporter.fields import unavailable

    program = static_elf(tmp_path / "static")
    settings = ProbeSettings(without=frozenset({"stdin", "arguments", "ctime"}))
    with closing(Tracer(settings)) as tracer:
        tracer.attach()
        pid, _ = child(lambda _: os.execve(program, ["x"], {}))
        decoder = Decoder(tracer.layouts)
        lacking = unavailable(tracer.missing)
        shown = [decoder.introduction(raw) for raw in tracer.introductions()]
    (found,) = [introduction for introduction in shown if introduction.pid == pid]
    record = as_json(decoder.key(found.key), found, lacking, boot_time_ns=0)
    assert record["pathname"] == str(program)
    for field in ("stdin_type", "stdin_path", "argv", "argc", "env", "env_bytes", "ctime"):
        assert record[field] is None
        assert record["unavailable"][field].startswith("this kernel lacks ")
