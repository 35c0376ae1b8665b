"""Scripts are identified by their own file where the kernel offers a hook, and by the path as invoked elsewhere."""

import ctypes
import errno
import os
import threading
from collections import Counter
from contextlib import chdir
from pathlib import Path

import pytest

from exporter.probe.script_hook import KINDS
from tests.kernel.programs import execute, script, static_elf

PRIME = 13
AT_EMPTY_PATH, AT_EXECVE_CHECK = 0x1000, 0x10000
SYS_EXECVEAT = {"x86_64": 322, "aarch64": 281}
libc = ctypes.CDLL(None, use_errno=True)


@pytest.fixture(scope="module", params=KINDS)
def hooked(request, compiled):
    """Yield a probe with that kind of hook only."""
    compiled.probe.attach(script_hooks=(request.param,))
    hook = compiled.probe.script_hook
    if hook.kind:
        yield compiled
    compiled.probe.detach()
    if not hook.kind:
        assert len(hook.refused) == 1
        pytest.skip(f"no hook for scripts here: {hook.refused[0]}")


def counts(exporter, below):
    found = Counter()
    for labels, count in exporter.scrape().executions(below).items():
        found[labels.path] += count
    return found


def test_a_script_by_its_symbolic_link_is_the_script(hooked, tmp_path):
    program = script(tmp_path / "script")
    (tmp_path / "link").symlink_to(program)
    execute(tmp_path / "link", PRIME)
    with chdir(tmp_path):
        execute("./link", PRIME)
    assert counts(hooked, tmp_path) == {str(program): 2 * PRIME}


def test_hard_links_and_renamed_directories_are_distinct(hooked, tmp_path):
    (tmp_path / "before").mkdir()
    program = script(tmp_path / "before/script")
    (tmp_path / "hard").hardlink_to(program)
    execute(program, 3)
    execute(tmp_path / "hard", 5)
    (tmp_path / "before").rename(tmp_path / "after")
    execute(tmp_path / "after/script", 7)
    expected = {str(program): 3, str(tmp_path / "hard"): 5, str(tmp_path / "after/script"): 7}
    assert counts(hooked, tmp_path) == expected


def test_a_script_by_descriptor_has_its_path(hooked, tmp_path):
    program = script(tmp_path / "script")
    descriptor = os.open(program, os.O_RDONLY)
    os.set_inheritable(descriptor, True)
    execute(f"/dev/fd/{descriptor}", PRIME)
    os.close(descriptor)
    assert counts(hooked, tmp_path) == {str(program): PRIME}


def test_a_script_whose_interpreter_is_a_script_is_the_first_of_them(hooked, tmp_path):
    inner = script(tmp_path / "inner")
    execute(script(tmp_path / "outer", interpreter=str(inner)), PRIME)
    assert counts(hooked, tmp_path) == {str(tmp_path / "outer"): PRIME}


def test_a_deleted_script_is_deleted(hooked, tmp_path):
    program = script(tmp_path / "script")
    before = counts(hooked, "[deleted]").get("[deleted]", 0)
    descriptor = os.open(program, os.O_RDONLY)
    os.set_inheritable(descriptor, True)
    program.unlink()
    execute(f"/dev/fd/{descriptor}", PRIME)
    os.close(descriptor)
    assert counts(hooked, "[deleted]")["[deleted]"] == before + PRIME


def test_execs_that_fail_leave_nothing_that_is_taken_for_a_later_one(hooked, tmp_path):
    failing = script(tmp_path / "failing", interpreter="/nonexistent")
    good, program = script(tmp_path / "good"), static_elf(tmp_path / "static")
    pid = os.fork()
    if not pid:  # one task: an exec that fails, then one that succeeds
        for _ in range(PRIME):
            try:
                os.execv(failing, ["x"])
            except FileNotFoundError:
                continue
        os.execv(good, ["x"])
    assert os.waitpid(pid, 0)[1] == 0
    for _ in range(PRIME):
        with pytest.raises(FileNotFoundError):
            os.posix_spawn(failing, ["x"], {})
        execute(program)
        execute(good)
    assert counts(hooked, tmp_path) == {str(good): PRIME + 1, str(program): PRIME}


def test_a_script_executed_by_a_thread_that_is_not_the_leader(hooked, tmp_path):
    program = script(tmp_path / "script")
    for _ in range(3):
        pid = os.fork()
        if not pid:
            threading.Thread(target=os.execv, args=(program, ["x"])).start()
            threading.Event().wait()
        assert os.waitpid(pid, 0)[1] == 0
    assert counts(hooked, tmp_path) == {str(program): 3}


def test_asking_whether_a_script_may_be_executed_is_not_executing_it(hooked, tmp_path):
    program, other = script(tmp_path / "script"), script(tmp_path / "other")
    descriptor = os.open(program, os.O_RDONLY)
    arguments, environment = (ctypes.c_char_p * 2)(b"x", None), (ctypes.c_char_p * 1)(None)
    call = (SYS_EXECVEAT[os.uname().machine], descriptor, b"", arguments, environment)
    answer = libc.syscall(*call, AT_EMPTY_PATH | AT_EXECVE_CHECK)
    error = ctypes.get_errno()
    os.close(descriptor)
    if answer == 0:
        execute(other, PRIME)
        assert counts(hooked, tmp_path) == {str(other): PRIME}
    else:  # before 6.14 the flag is unknown and refused
        assert error == errno.EINVAL


def test_without_a_hook_it_is_named_as_invoked(compiled, tmp_path):
    (tmp_path / "link").symlink_to(script(tmp_path / "script"))
    compiled.probe.detach()  # from the hook of earlier tests
    compiled.probe.attach(script_hooks=())
    execute(tmp_path / "link", PRIME)
    assert compiled.probe.script_hook.kind == ""
    compiled.probe.detach()
    assert counts(compiled, tmp_path) == {str(tmp_path / "link"): PRIME}


def test_the_hook_leaves_with_the_probe(compiled):
    kprobes = Path("/sys/kernel/debug/kprobes/list")
    compiled.probe.detach()
    compiled.probe.attach(script_hooks=("kprobe",))
    if compiled.probe.script_hook.kind and kprobes.exists():
        assert "security_bprm_creds_for_exec" in kprobes.read_text()
    compiled.probe.detach()
    assert compiled.probe.script_hook.kind == ""
    if kprobes.exists():
        assert "security_bprm_creds_for_exec" not in kprobes.read_text()
