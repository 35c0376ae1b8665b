"""Fields of the record of an exec: every location of the program.

Expected values come from stat(2), from readlink of /proc, and from the test's own arguments of execve.
"""

import os
import re
import shutil
import stat
import tempfile
from pathlib import Path

import pytest

from tests.kernel.programs import dynamic_elf, elf_interpreter, static_elf
from tests.kernel.tracing import (
    AT_EMPTY_PATH,
    MNT_DETACH,
    MS_BIND,
    PLAIN,
    checked,
    child,
    executed,
    execveat,
    facts_of,
    interpreter_facts,
    libc,
    mount,
    own_mounts,
    shows,
)

AT_FDCWD, OPEN_TREE_CLONE, FSCONFIG_CMD_CREATE = -100, 1, 6
SYS_OPEN_TREE, SYS_FSOPEN, SYS_FSCONFIG, SYS_FSMOUNT = 428, 430, 431, 432  # on every architecture


def test_setuid_program(trace, public_directory):
    program = static_elf(public_directory / "static")
    os.chown(program, 0, 0)
    program.chmod(0o4755)

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
    if "backing_inode" in record["unavailable"]:  # before 5.11 the kernel does not expose types of modules
        assert not Path("/sys/kernel/btf/overlay").exists()
        assert record["unavailable"]["backing_inode"] == "this kernel lacks overlay_backing"
        facts |= {"backing_dev": None, "backing_inode": None}
    shows(record, facts, PLAIN, pathname=str(merged / "static"))


def test_elf_interpreter_on_an_overlay(trace):
    """The kernel maps the file below the overlay, but the path is that on the overlay."""
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
    """The file can only be reached directory by directory; its record reports that the path was truncated."""

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


def test_program_on_a_mount_that_has_been_taken_away(trace, tmp_path):
    """The remaining path could be mistaken for that of another program."""
    program = static_elf(tmp_path / "static").read_bytes()
    (tmp_path / "there").mkdir()

    def action(_):
        own_mounts()
        mount("none", tmp_path / "there", "tmpfs")
        (tmp_path / "there/usr").mkdir()
        (tmp_path / "there/usr/static").write_bytes(program)
        (tmp_path / "there/usr/static").chmod(0o755)
        descriptor = os.open(tmp_path / "there/usr/static", os.O_PATH)
        checked(libc.umount2(os.fsencode(tmp_path / "there"), MNT_DETACH))
        execveat(descriptor, "", AT_EMPTY_PATH)(None, ["x"], {})

    pid, _ = child(action)
    (record,) = trace.of(pid)
    shows(record, pathname="/usr/static", disconnected=True, path="[disconnected]/usr/static")


@pytest.mark.parametrize("what", ["a copy of a tree", "a new file system"])
def test_program_on_a_mount_that_was_never_attached(trace, tmp_path, what):
    """open_tree(2) and fsmount(2) give a descriptor of a mount in a namespace of its own, which nobody can enter."""
    program = static_elf(tmp_path / "static").read_bytes()

    def action(_):
        own_mounts()
        if what == "a copy of a tree":
            (tmp_path / "usr").mkdir()
            at = libc.syscall(SYS_OPEN_TREE, AT_FDCWD, os.fsencode(tmp_path), OPEN_TREE_CLONE)
        else:
            context = libc.syscall(SYS_FSOPEN, b"tmpfs", 0)
            checked(libc.syscall(SYS_FSCONFIG, context, FSCONFIG_CMD_CREATE, None, None, 0))
            at = libc.syscall(SYS_FSMOUNT, context, 0, 0)
            os.mkdir("usr", dir_fd=at)
        assert at >= 0
        with open(os.open("usr/static", os.O_CREAT | os.O_WRONLY, 0o755, dir_fd=at), "wb") as file:  # noqa: PTH123
            file.write(program)
        execveat(at, "usr/static", 0)(None, ["x"], {})

    pid, _ = child(action)
    (record,) = trace.of(pid)
    shows(record, pathname="/usr/static", disconnected=True, path="[disconnected]/usr/static")
