import dataclasses
import os
import stat

import pytest

from exporter.compiler import cache as cache_module
from exporter.compiler.cache import FILES, CompiledCache
from exporter.compiler.compile import Compiled, CompiledMap
from exporter.compiler.kernel_facts import KernelFacts, KernelNeeds
from exporter.compiler.kernel_types import Feature, Members
from exporter.kernel.bpf_syscall import MapInfo

FEATURES = tuple(Feature(name, f"no {name}", (Members(("task_struct.mm",)),)) for name in ("first", "second"))
NEEDS = KernelNeeds("sched_process_exec", ("a", "b"), FEATURES, frozenset({"y", "x"}))
COMPILED = Compiled(
    {"on_exec": bytes(range(256))},
    {"execs": CompiledMap(MapInfo(1, 7, 4, 8, 100, 0), ["k", []], "unsigned int")},
    {5: "execs"},
    True,
    "0.26.0",
    KernelFacts(FEATURES[:1], {"a": 11}, 12),
)


@pytest.fixture
def source(tmp_path):
    (tmp_path / "bpf").mkdir()
    for name in ("exec.c", "exec.h"):
        (tmp_path / "bpf" / name).write_text(name)
    return tmp_path / "bpf/exec.c"


@pytest.fixture(autouse=True)
def types(tmp_path, monkeypatch):
    (tmp_path / "btf").mkdir()
    (tmp_path / "btf/vmlinux").write_text("types")
    monkeypatch.setattr(cache_module, "BTF_DIRECTORY", tmp_path / "btf")
    return tmp_path / "btf/vmlinux"


@pytest.fixture
def compilations(monkeypatch):
    """Return the list of compilations, each as its definitions."""
    made = []

    def compile_source(source, definitions, needs, *, typed):
        made.append(definitions)
        return COMPILED

    monkeypatch.setattr(cache_module, "compile_source", compile_source)
    return made


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def start(directory, source, compilations):
    """Return a function that gets the program, as a start does; it returns how often the compiler has run."""

    def start(definitions=(), needs=NEEDS, path=directory, typed=True):
        found = CompiledCache(str(path) if path else "").compile_source(source, dict(definitions), needs, typed=typed)
        assert found == COMPILED
        return len(compilations)

    return start


def test_the_second_start_compiles_nothing(start, directory):
    assert [start(), start()] == [1, 1]
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert [stat.S_IMODE(file.stat().st_mode) for file in directory.iterdir()] == [0o600]


def test_without_a_path_nothing_is_stored(start, directory):
    assert [start(path=""), start(path="")] == [1, 2]
    assert not directory.exists()


def test_whatever_it_is_made_from_is_a_program_of_its_own(start, source, types, monkeypatch):
    start()
    assert start({"A": 1}) == 2
    assert start({"A": 2}) == 3
    assert start(typed=False) == 4
    assert start(needs=dataclasses.replace(NEEDS, without=frozenset({"y"}))) == 5
    assert start(needs=dataclasses.replace(NEEDS, functions=("a",))) == 6
    (source.parent / "exec.h").write_text("changed")
    assert start() == 7
    types.write_text("another kernel")
    assert start() == 8
    (types.parent / "overlay").write_text("a module that was loaded")
    assert start() == 9
    monkeypatch.setattr(cache_module.platform, "release", lambda: "7.3.0")
    assert start() == 10
    assert start() == 10


@pytest.mark.parametrize("change", ["cut", "flip", "empty", "zeros", "bomb", "renamed"])
def test_a_damaged_file_is_compiled_again_and_replaced(start, directory, caplog, change):
    start({"A": 1})
    (file,) = directory.iterdir()
    content = file.read_bytes()
    if change == "renamed":
        start()
        (other,) = set(directory.iterdir()) - {file}
        file.write_bytes(other.read_bytes())
    else:
        bomb = content[:32] + cache_module.zlib.compress(bytes(64 << 20))
        flipped = content[:100] + bytes([content[100] ^ 1]) + content[101:]
        file.write_bytes({"cut": content[:-9], "flip": flipped, "empty": b"", "zeros": bytes(99), "bomb": bomb}[change])
    before = start({"B": 1})
    assert start({"A": 1}) == before + 1
    assert f"{file} is damaged: compiling" in caplog.text
    assert start({"A": 1}) == before + 1


def replaced(file):
    file.rename(file.with_suffix(".other"))
    return file


def give_away(file):
    """Give a file to another user; only root can."""
    if os.geteuid():
        pytest.skip(f"only root can give files away, this is uid {os.geteuid()}")
    os.chown(file, 65534, 65534)


UNSAFE = {
    "a directory of somebody else": lambda file: give_away(file.parent),
    "a file of somebody else": give_away,
    "a directory that others may write to": lambda file: file.parent.chmod(0o770),
    "a file that others may write to": lambda file: file.chmod(0o602),
    "a symbolic link": lambda file: replaced(file).symlink_to(file.with_suffix(".other")),
    "a named pipe": lambda file: os.mkfifo(replaced(file)),
    "a directory instead of the file": lambda file: replaced(file).mkdir(),
}


@pytest.mark.parametrize("change", UNSAFE.values(), ids=UNSAFE)
def test_what_others_may_have_written_is_not_used(start, directory, caplog, change):
    start()
    (file,) = directory.iterdir()
    change(file)
    assert start() == 2
    assert f"{file} is not used (" in caplog.text


def test_a_directory_that_cannot_be_made_is_no_error(start, directory, caplog):
    assert start(path=directory / "missing/cache") == 1
    directory.write_text("a file")
    assert start() == 2
    assert directory.read_text() == "a file"


def test_the_oldest_are_removed_with_what_killed_processes_left(start, directory):
    start()
    (first,) = directory.iterdir()
    left = directory / f"{first.name}-1234"
    left.write_text("half")
    other = directory / "README"
    other.write_text("somebody's")
    for age, file in enumerate((first, left), 1):
        os.utime(file, (age, age))
    for number in range(FILES):
        start({"A": number})
    names = {file.name for file in directory.iterdir()}
    assert len(names) == FILES + 1
    assert not {first.name, left.name} & names
    assert other.name in names


def test_where_the_types_cannot_be_read_the_compiler_says_so(start, types, directory):
    types.unlink()
    assert [start(), start()] == [1, 2]
    assert not directory.exists()
