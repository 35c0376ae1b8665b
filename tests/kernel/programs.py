"""Programs for tests, and ways to execute them exactly once."""

import os
import platform
import shutil
import struct
from contextlib import contextmanager
from pathlib import Path

MACHINES = {"x86_64": 62, "aarch64": 183}


def _exit(status):
    """Return machine code of exit(status)."""
    if platform.machine() == "x86_64":
        return b"\xbf" + struct.pack("<I", status) + bytes.fromhex("b83c000000 0f05")
    return struct.pack("<I", 0xD2800000 | status << 5) + bytes.fromhex("a80b80d2 010000d4")


def _fault():
    """Return machine code that reads from address 0."""
    return bytes.fromhex("8b042500000000" if platform.machine() == "x86_64" else "000080d2 000040f9")


def failing_in_32_bit(times):
    """Return machine code that calls execve(2) and execveat(2) in vain (EFAULT), by the entry of 32-bit programs."""
    execve = "b80b000000 31db 31c9 31d2 cd80"  # execve(NULL, NULL, NULL)
    execveat = "b866010000 31db 31c9 31d2 31f6 31ff cd80"  # execveat(0, NULL, NULL, NULL, 0)
    code = bytes.fromhex(execve + execveat)
    return b"\xbd" + struct.pack("<I", times) + code + b"\xff\xcd\x75" + struct.pack("b", -len(code) - 4)


def static_elf(path, salt=b"", pie=False, status=0, before=b""):
    """Make the smallest static program that runs the machine code `before` and ends with a status, or with SIGSEGV for
    None; `salt` varies its content.
    """
    machine, code = MACHINES[platform.machine()], before + (_fault() if status is None else _exit(status))
    base, start = 0 if pie else 0x400000, 64 + 56
    size = start + len(code)
    header = b"\x7fELF\2\1\1" + bytes(9)
    header += struct.pack("<HHIQQQIHHHHHH", 3 if pie else 2, machine, 1, base + start, 64, 0, 0, 64, 56, 1, 64, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, size, size, 0x1000)
    return _write(path, header + segment + code + salt)


def dynamic_elf(path):
    """Make a dynamic program: a copy of true(1)."""
    shutil.copyfile(shutil.which("true"), path)
    path.chmod(0o755)
    return path


def script(path, interpreter="/bin/sh", argument=""):
    return _write(path, f"#!{interpreter} {argument}".rstrip().encode() + b"\nexit 0\n")


def elf_interpreter(path):
    """Return the interpreter in PT_INTERP of a dynamic program, resolved."""
    data = Path(path).read_bytes()
    (offset,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    for index in range(count):
        kind, _, at, _, _, length = struct.unpack_from("<IIQQQQ", data, offset + index * size)
        if kind == 3:
            return os.path.realpath(data[at : at + length].rstrip(b"\0").decode())
    raise AssertionError(f"{path} is static")


def execute(path, times=1, stdin="/dev/null", arguments=(b"x",), environment=None, ends=0):
    """Execute a file `times` times, each in a process of its own, and expect each to end with `ends`.

    `ends` is an exit status or a negative signal number. `stdin` is a path, an open descriptor or None for a closed
    one.
    """
    with _open(stdin) as descriptor:
        actions = [(os.POSIX_SPAWN_CLOSE, 0)] if descriptor is None else [(os.POSIX_SPAWN_DUP2, descriptor, 0)]
        for _ in range(times):
            pid = os.posix_spawn(path, arguments, environment or {}, file_actions=actions)
            _, status = os.waitpid(pid, 0)
            assert os.waitstatus_to_exitcode(status) == ends, path


def execute_as_new(program, path):
    """Execute a program once by a new name, which is removed afterwards."""
    path.hardlink_to(program)
    execute(path)
    path.unlink()


def storm(paths, times, workers):
    """Execute each of `paths` `times` times from each of `workers` processes at once."""
    children = []
    for _ in range(workers):
        child = os.fork()
        if not child:
            status = 1
            try:
                for _ in range(times):
                    for path in paths:
                        execute(path)
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * workers


@contextmanager
def _open(stdin):
    if not isinstance(stdin, str):
        yield stdin
        return
    descriptor = os.open(stdin, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _write(path, data):
    # A file that is open for writing anywhere cannot be executed, and a concurrent fork may hold it open.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o755)
    try:
        os.write(descriptor, data)
    finally:
        os.close(descriptor)
    return path
