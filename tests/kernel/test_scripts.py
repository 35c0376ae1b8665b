"""Scripts: by their own file, which a hook has seen or exec has released; as they were invoked where neither is."""

import ctypes
import errno
import os
import subprocess
import sys
import threading
from collections import Counter
from contextlib import chdir
from pathlib import Path

import pytest

from exporter.probe.script_hook import KINDS
from tests.kernel.programs import execute, script, static_elf
from tests.kernel.running import running
from tests.kernel.tracing import child

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

    def one_task(_):
        for _ in range(PRIME):
            with pytest.raises(FileNotFoundError):
                os.execv(failing, ["x"])
        os.execv(good, ["x"])

    child(one_task)
    for _ in range(PRIME):
        with pytest.raises(FileNotFoundError):
            os.posix_spawn(failing, ["x"], {})
        execute(program)
        execute(good)
    assert counts(hooked, tmp_path) == {str(good): PRIME + 1, str(program): PRIME}


def test_a_script_executed_by_a_thread_that_is_not_the_leader(hooked, tmp_path):
    program = script(tmp_path / "script")

    def by_a_thread(_):
        thread = threading.Thread(target=os.execv, args=(program, ["x"]))
        thread.start()
        thread.join()  # until it executes, or cannot

    for _ in range(3):
        child(by_a_thread)
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


@pytest.fixture(scope="module")
def without_hook(compiled):
    """A probe without a hook: the script is what exec releases first."""
    compiled.probe.detach()  # from the hook of the tests before
    compiled.probe.attach(script_hooks=())
    assert compiled.probe.script_hook.kind == ""
    yield compiled
    compiled.probe.detach()


def test_without_a_hook_a_script_is_its_file_by_whatever_it_is_called(without_hook, tmp_path):
    program = script(tmp_path / "script")
    (tmp_path / "link").symlink_to(program)
    execute(tmp_path / "link", PRIME)
    execute(f"/proc/self/root{program}", PRIME)
    for number in range(20, 25):
        execute_by_directory(tmp_path, number, "script")
        execute_by_directory(tmp_path, number, "../" + tmp_path.name + "/link")
        execute_by_descriptor(program, f"/dev/fd/{number}", number)
        execute_by_descriptor(program, f"/proc/self/fd/{number}", number)
    with chdir(tmp_path):
        execute("./link", PRIME)
        execute("script", PRIME)
    assert counts(without_hook, tmp_path) == {str(program): 4 * PRIME + 20}


def execute_by_directory(directory, number, name):
    def action(_):
        os.dup2(os.open(directory, os.O_PATH), number)
        arguments, environment = (ctypes.c_char_p * 2)(b"x", None), (ctypes.c_char_p * 1)(None)
        libc.syscall(SYS_EXECVEAT[os.uname().machine], number, name.encode(), arguments, environment, 0)

    child(action)


def execute_by_descriptor(program, name, number):
    def action(_):
        os.dup2(os.open(program, os.O_RDONLY), number)
        os.execv(name, ["x"])

    child(action)


def test_without_a_hook_a_script_below_another_root_has_its_path(without_hook, tmp_path):
    """The interpreter is a static program: nothing else is needed below that root."""
    static_elf(tmp_path / "interpreter")
    program = script(tmp_path / "script", interpreter="/interpreter")

    def below_another_root(_):
        os.chroot(tmp_path)
        os.chdir("/")
        os.execv("/script", ["x"])

    for _ in range(PRIME):
        child(below_another_root)
    assert counts(without_hook, tmp_path) == {str(program): PRIME}


def test_without_a_hook_a_script_is_found_whatever_its_process_was_before(without_hook, tmp_path):
    """What exec releases besides: files that are closed, mapped or executed until then, by threads or alone."""
    program, outer = script(tmp_path / "script"), tmp_path / "outer"
    script(outer, interpreter=str(script(tmp_path / "inner")))
    code = f"""
import mmap, os, sys, threading
files = [open(sys.executable, "rb") for _ in range(50)]
maps = [mmap.mmap(file.fileno(), 1, prot=mmap.PROT_READ) for file in files]
run = lambda: os.execv({str(program)!r}, ["x"])
threading.Thread(target=run).start() if len(sys.argv) > 1 else run()
threading.Event().wait()
"""
    for arguments in ([], ["thread"]):
        subprocess.run([sys.executable, "-c", code, *arguments], check=True)
    subprocess.run([sys.executable, "-c", f"import os; os.execv({str(outer)!r}, ['x'])"], check=True)
    execute(outer, PRIME)
    assert counts(without_hook, tmp_path) == {str(program): 2, str(outer): PRIME + 1}


def test_without_a_hook_execs_that_fail_before_are_not_taken_for_it(without_hook, tmp_path):
    test_execs_that_fail_leave_nothing_that_is_taken_for_a_later_one(without_hook, tmp_path)


@pytest.mark.native
def test_a_script_known_as_invoked_only_has_no_label_with_a_number(tmp_path):
    (tmp_path / "link").symlink_to(script(tmp_path / "script"))
    with running(script_hooks=(), without=frozenset({"released_script"})) as exporter:
        execute(tmp_path / "link", PRIME)
        for number in range(20, 25):
            execute_by_directory(tmp_path, number, "script")
        assert counts(exporter, tmp_path) == {str(tmp_path / "link"): PRIME}
        assert counts(exporter, "[descriptor]").get("[descriptor]/script") == 5
        assert not [path for path in counts(exporter, "/dev/fd/") if path[8:9] == "2"]


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
