"""Each trait grows by exactly the number of executions that have it, and no other trait grows."""

import os
import resource
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from exporter.events.traits import TRAITS
from tests.kernel.programs import dynamic_elf, elf_interpreter, execute, script, static_elf
from tests.kernel.quiet import grown, while_nobody_else_executes
from tests.kernel.running import running
from tests.kernel.tracing import child, mount, own_mounts

PRIME = 13
# Traits that every program has that a test has just made.
FRESH = {"fresh_binary": PRIME}
COLLECT = frozenset({"traits", "preload"})


@pytest.fixture(scope="module")
def exporter():
    with running(collect=COLLECT) as exporter:
        yield exporter


def traits(exporter, work, executions=PRIME):
    """Return the growth of each trait that grew, in a window in which only `work` executed programs."""
    before, after = while_nobody_else_executes(exporter, work, executions)
    found = {trait: grown(before, after, "exec_traits_total", trait=trait) for trait in TRAITS}
    return {trait: number for trait, number in found.items() if number}


def test_an_old_program_of_the_system_has_none(exporter):
    assert traits(exporter, lambda: execute(os.path.realpath(shutil.which("true")), PRIME)) == {}


def test_a_program_that_was_just_made(exporter, tmp_path):
    assert traits(exporter, lambda: execute(static_elf(tmp_path / "static"), PRIME)) == FRESH


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(-0.5, FRESH), (-5, {}), (-3600, {}), (-(10**8), {}), (5, FRESH), (90, {})],
    ids="{}s".format,
)
def test_a_program_whose_change_time_is_ahead_of_the_clock(exporter, tmp_path, seconds, expected):
    def work():
        execute(static_elf(tmp_path / "static"), PRIME)

    with exporter.clock_set(seconds):
        assert traits(exporter, work) == expected


def test_where_it_was_seen_last(exporter, tmp_path):
    program, begun = static_elf(tmp_path / "static"), time.time()
    execute(program, PRIME)
    name = "exec_trait_last_seen_timestamp_seconds"
    scraped = exporter.scrape()
    (seen,) = [s for s in scraped.samples(name) if s.labels["path"] == str(program)]
    assert seen.labels == {"trait": "fresh_binary", "path": str(program), "interpreter": "", "stdin_type": "null"}
    assert begun - 0.1 <= seen.value <= time.time() + 0.1
    assert len(scraped.samples(name)) <= 100


def test_memfd(exporter, tmp_path):
    def work():
        descriptor = os.memfd_create("x", 0)
        os.write(descriptor, static_elf(tmp_path / "static").read_bytes())
        execute(f"/proc/self/fd/{descriptor}", PRIME)
        os.close(descriptor)

    assert traits(exporter, work) == {"memfd": PRIME, **FRESH}


def test_deleted(exporter, tmp_path):
    def work():
        program = static_elf(tmp_path / "static")
        descriptor = os.open(program, os.O_PATH)
        program.unlink()
        execute(f"/proc/self/fd/{descriptor}", PRIME)
        os.close(descriptor)

    assert traits(exporter, work) == {"deleted": PRIME, **FRESH}


def test_setuid_and_setgid(exporter, tmp_path):
    for mode, expected in ((0o4755, PRIME), (0o2755, PRIME), (0o2745, 0)):

        def work(mode=mode):
            program = static_elf(tmp_path / "static")
            program.chmod(mode)
            execute(program, PRIME)

        found = traits(exporter, work)
        assert found == ({"setuid": expected, **FRESH} if expected else FRESH), oct(mode)


def test_in_a_world_writable_directory_as_root_and_as_somebody(exporter, public_directory):
    directory = public_directory / "open"
    directory.mkdir()
    directory.chmod(0o1777)

    def somebody(program):
        os.setresuid(65534, 65534, 65534)
        os.execv(program, ["x"])

    def as_somebody():
        program = static_elf(directory / "static")
        for _ in range(PRIME):
            child(lambda _: somebody(program))

    as_root = {"world_writable_directory": PRIME, "world_writable_directory_as_root": PRIME, **FRESH}
    assert traits(exporter, lambda: execute(static_elf(directory / "static"), PRIME)) == as_root
    assert traits(exporter, as_somebody) == {"world_writable_directory": PRIME, **FRESH}


def test_below_a_directory_that_is_in_a_world_writable_one_is_another_matter(exporter, tmp_path):
    (tmp_path / "open/own").mkdir(parents=True)
    (tmp_path / "open").chmod(0o1777)
    assert traits(exporter, lambda: execute(static_elf(tmp_path / "open/own/static"), PRIME)) == FRESH


def test_in_the_upper_layer_of_an_overlay_and_in_the_lower(exporter, tmp_path):
    for name in ("lower", "upper", "work", "merged"):
        (tmp_path / "base" / name).mkdir(parents=True)
    base = tmp_path / "base"

    def work(layer):
        # in a mount namespace of its own
        pid = os.fork()
        if not pid:
            status = 1
            try:
                own_mounts()
                mount("none", base, "tmpfs")
                for name in ("lower", "upper", "work", "merged"):
                    (base / name).mkdir()
                static_elf(base / "lower/program")
                data = f"lowerdir={base}/lower,upperdir={base}/upper,workdir={base}/work"
                mount("none", base / "merged", "overlay", data=data)
                if layer == "upper":
                    static_elf(base / "merged/program", salt=b"x")
                execute(base / "merged/program", PRIME)
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(pid, 0)[1] == 0

    if exporter.probe.lacks("overlay_backing"):
        pytest.skip("this kernel does not show what is below an overlay")
    assert traits(exporter, lambda: work("upper")) == {"container_upper_layer": PRIME, **FRESH}
    assert traits(exporter, lambda: work("lower")) == FRESH


def test_a_program_that_the_kernel_starts(exporter, public_directory):
    helper = public_directory / "helper"
    pattern = Path("/proc/sys/kernel/core_pattern")
    before = pattern.read_text()

    def crash():
        static_elf(helper)
        pid = os.fork()
        if not pid:
            signal.signal(signal.SIGQUIT, signal.SIG_DFL)  # shells ignore the signal in background processes
            resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)
            os.kill(os.getpid(), signal.SIGQUIT)
            os._exit(0)
        assert os.WCOREDUMP(os.waitpid(pid, 0)[1])

    pattern.write_text(f"|/proc/{os.getpid()}/root{helper}")
    try:
        found = traits(exporter, crash, 1)
    finally:
        pattern.write_text(before)
    assert found == {"kernel_invoked": 1, "fresh_binary": 1}


def test_the_loader_started_directly(exporter, tmp_path):
    program = dynamic_elf(tmp_path / "dynamic")
    loader = elf_interpreter(program)
    assert traits(exporter, lambda: execute(loader, PRIME, arguments=(loader, str(program)))) == {
        "loader_direct": PRIME
    }


def connected(family, kind, address):
    """Both ends of a connection: the one that connected, and the one that was accepted or only has an address."""
    listening, ours = socket.socket(family, kind), socket.socket(family, kind)
    listening.bind(address)
    if kind == socket.SOCK_STREAM:
        listening.listen()
        ours.connect(listening.getsockname())
        theirs, _ = listening.accept()
        listening.close()
        return ours, theirs
    ours.connect(listening.getsockname())
    return ours, listening


def pair(kind=socket.SOCK_STREAM):
    return socket.socketpair(socket.AF_UNIX, kind)


STREAM, DATAGRAM = socket.SOCK_STREAM, socket.SOCK_DGRAM
CONNECTIONS = {
    "TCP": lambda _: connected(socket.AF_INET, STREAM, ("127.0.0.1", 0)),
    "TCP over IPv6": lambda _: connected(socket.AF_INET6, STREAM, ("::1", 0)),
    "UDP": lambda _: connected(socket.AF_INET, DATAGRAM, ("127.0.0.1", 0)),
    "a Unix socket with a path": lambda path: connected(socket.AF_UNIX, STREAM, str(path)),
    "an abstract Unix socket": lambda path: connected(socket.AF_UNIX, STREAM, f"\0{path}"),
    "a Unix socket that has a path and no peer": lambda path: connected(socket.AF_UNIX, DATAGRAM, str(path)),
}
PAIRS = {
    "a pair": lambda _: pair(),
    "a pair of datagrams": lambda _: pair(DATAGRAM),
    "a pair of packets": lambda _: pair(socket.SOCK_SEQPACKET),
    "netlink": lambda _: (socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0), socket.socket(socket.AF_NETLINK, 3, 0)),
    "the path of a socket": lambda path: (opened(path), opened(path)),
}


def opened(path):
    if not path.exists():
        socket.socket(socket.AF_UNIX).bind(str(path))
    return os.fdopen(os.open(path, os.O_PATH))


def ends_of(make, path):
    ours, theirs = make(path)
    with ours, theirs:
        for end in ours, theirs:
            if isinstance(end, socket.socket):
                end.setblocking(False)  # a shell that finds nothing to read ends
        yield from (ours.fileno(), theirs.fileno())


@pytest.mark.parametrize(
    ("make", "trait"),
    [*((make, True) for make in CONNECTIONS.values()), *((make, False) for make in PAIRS.values())],
    ids=[*CONNECTIONS, *PAIRS],
)
def test_a_shell_on_a_connection_and_on_a_pair_of_sockets(exporter, tmp_path, make, trait):
    shell = os.path.realpath("/bin/sh")

    def work(path):
        for end in ends_of(make, tmp_path / os.urandom(4).hex()):
            execute(path, PRIME, stdin=end, arguments=(path, "-c", "exit 0"))

    assert traits(exporter, lambda: work(shell), 2 * PRIME) == ({"shell_socket_stdin": 2 * PRIME} if trait else {})
    found = traits(exporter, lambda: work(script(tmp_path / "handler")), 2 * PRIME)
    assert found.pop("fresh_binary") == 2 * PRIME
    assert found == ({"shell_socket_stdin": 2 * PRIME} if trait else {})


@pytest.mark.parametrize("variable", ["LD_PRELOAD", "LD_AUDIT"])
def test_preload(exporter, tmp_path, variable):
    many = {f"V{number}": "x" * number for number in range(100)}
    for environment, expected in (
        ({variable: "/x.so"}, True),
        ({**many, variable: "/x.so", "Z": ""}, True),
        ({variable: ""}, False),
        ({f"X{variable}": "/x.so", "A": f"{variable}=/x.so", f"{variable}X": "/x.so", "LD_LIBRARY_PATH": "/"}, False),
    ):

        def work(environment=environment):
            execute(static_elf(tmp_path / "static"), PRIME, environment=environment)

        found = traits(exporter, work)
        assert found == ({"preload": PRIME, **FRESH} if expected else FRESH), environment.keys()


@pytest.mark.native
def test_preload_is_not_looked_for_unless_it_is_asked_for(tmp_path):
    with running() as exporter:
        execute(static_elf(tmp_path / "static"), PRIME, environment={"LD_PRELOAD": "/x.so"})
        names = {sample.labels["trait"] for sample in exporter.scrape().samples("exec_traits_total")}
    assert names == set(TRAITS) - {"preload"}


def test_a_path_that_is_too_long_to_be_followed(exporter, tmp_path):
    """1,400 directories with names of two letters, entered one by one: the kernel rejects the path as a whole."""

    def work():
        here = os.open(".", os.O_PATH)
        try:
            os.chdir(tmp_path)
            for _ in range(1400):
                Path("dd").mkdir(exist_ok=True)
                os.chdir("dd")
            execute(static_elf(Path("static")), PRIME)
        finally:
            os.chdir(here)
            os.close(here)

    try:
        assert traits(exporter, work) == {"path_truncated": PRIME, **FRESH}
    finally:
        subprocess.run(["rm", "-rf", tmp_path / "dd"], check=True)  # deeper than shutil.rmtree can go
