"""Shared by the tests of records: a tracer in this process, children that exec, facts from stat(2)."""

import ctypes
import json
import os
import time
from pathlib import Path

from exporter.events.decode import Decoder
from exporter.events.event_fields import unavailable
from exporter.events.event_json import as_json

libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
MNT_DETACH = 2
AT_EMPTY_PATH = 0x1000
SYS_EXECVEAT = {"x86_64": 322, "aarch64": 281}[os.uname().machine]
RECORDED = 1 << 16


class Trace:
    def __init__(self, tracer):
        self._tracer = tracer
        self._decoder = Decoder(tracer.layouts)
        self._boot = time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def records(self):
        """Return the records of all executions on this machine since the last call."""
        lacking = unavailable(self._tracer.missing)
        for raw in self._tracer.introductions():
            introduction = self._decoder.introduction(raw)
            yield as_json(self._decoder.key(introduction.key), introduction, lacking, boot_time_ns=self._boot)

    def of(self, pid):
        return [record for record in self.records() if record["pid"] == pid]


def checked(result, *_):
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def mount(source, target, kind=None, flags=0, data=None):
    encoded = [os.fsencode(text) if text is not None else None for text in (source, target, kind)]
    checked(libc.mount(*encoded, flags, data.encode() if data else None))


def own_mounts():
    checked(libc.unshare(CLONE_NEWNS))
    mount("none", "/", flags=MS_REC | MS_PRIVATE)


def own_users():
    """Have a user namespace, whose root is this user, and mounts of its own."""
    checked(libc.unshare(CLONE_NEWUSER | CLONE_NEWNS))
    for name, text in (("setgroups", "deny"), ("uid_map", "0 0 1"), ("gid_map", "0 0 1")):
        Path("/proc/self", name).write_text(text)


def child(action):
    """Fork; the child calls `action`, which ends in an exec. Return its pid and the facts that it passed to `tell`."""
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
    """Return the only record, and stat(2) of the file as the child saw it just before."""
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
    """Assert that the record has these values; list those that differ."""
    wanted = {key: value for part in expected for key, value in part.items()} | more
    assert {key: record[key] for key in wanted} == wanted


def execveat(directory, name, flags=0):
    def execute(_path, arguments, environment):
        vectors = [
            (ctypes.c_char_p * (len(strings) + 1))(*map(os.fsencode, strings), None)
            for strings in (arguments, [f"{key}={value}" for key, value in environment.items()])
        ]
        libc.syscall(SYS_EXECVEAT, directory, os.fsencode(name), *vectors, flags)
        raise OSError(ctypes.get_errno(), "execveat")

    return execute
