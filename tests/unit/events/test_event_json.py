from dataclasses import replace

import pytest

from exporter.events.decode import Decoder, ExecKey, KernelPath
from exporter.events.event_json import NAMES, as_json, stdin_path
from exporter.probe.exec_header import enum
from tests.unit.layouts import LAYOUTS, key, record

EMPTY = Decoder(LAYOUTS).introduction(record(key()))
FLAGS = enum("key_flag")


def shown(flags=0, unavailable=(), environment="values", **fields):
    return as_json(
        ExecKey("null", flags), replace(EMPTY, **fields), dict(unavailable), boot_time_ns=10**18, env=environment
    )


@pytest.mark.parametrize(
    ("stdin_type", "path", "name"),
    [
        ("closed", None, None),
        ("file", KernelPath(b"/etc/passwd"), "/etc/passwd"),
        ("file", KernelPath(b"/tmp/x\n", deleted=True), r"/tmp/x\x0a (deleted)"),
        ("pipe", KernelPath(b"", orphan=True), "pipe:[7]"),
        ("pipe", KernelPath(b"/run/fifo"), "/run/fifo"),
        ("socket", KernelPath(b"TCP", orphan=True), "socket:[7]"),
        ("anon", KernelPath(b"[eventfd]", orphan=True), "anon_inode:[eventfd]"),
        ("file", KernelPath(b"memfd:x", orphan=True), "/memfd:x (deleted)"),
    ],
)
def test_descriptor_0_is_called_what_proc_calls_it(stdin_type, path, name):
    assert stdin_path(stdin_type, replace(EMPTY, stdin_path=path, stdin_inode=7)) == name


def test_a_path_that_was_cut_never_looks_complete():
    assert shown(pathname=KernelPath(b"b/c", cut=True))["pathname"] == "[truncated]/b/c"


def test_times_are_since_the_epoch():
    found = shown(time=5, start_time=3)
    assert (found["time"], found["start_time"]) == (10**18 + 5, 10**18 + 3)


def test_only_the_names_of_the_environment_are_shown_on_request():
    recorded = {"env": b"HOME=/root\0TOKEN=a=b\0", "env_bytes": 21}
    assert shown(**recorded)["env"] == ["HOME=/root", "TOKEN=a=b"]
    assert shown(**recorded, environment=NAMES)["env"] == ["HOME", "TOKEN"]


def test_arguments_that_were_not_recorded_are_null_and_none_are_an_empty_list():
    assert shown(argv=None, argv_bytes=9)["argv"] is None
    assert shown(argv=None, argv_bytes=0)["argv"] == []


def test_fields_that_are_unavailable_are_null_with_the_reason():
    found = shown(unavailable={"cwd": "this kernel lacks cwd"}, cwd=KernelPath(b"/srv"))
    assert found["cwd"] is None
    assert found["unavailable"] == {"cwd": "this kernel lacks cwd"}


def test_a_script_without_its_own_file_is_shown_as_invoked():
    script = FLAGS["KEY_SCRIPT"]
    assert shown()["script_path"] is None
    assert shown(script, script_path=KernelPath(b"/x.sh"))["script_path"] == "/x.sh"
    assert shown(script | FLAGS["KEY_AS_INVOKED"])["script_path"] == "as invoked"
