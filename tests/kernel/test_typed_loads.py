"""Both ways of reading the kernel's memory yield the same keys, counts and records, side by side."""

import os
from contextlib import chdir

import pytest

from exporter.probe.program import RAW_TRACEPOINT, TYPED_TRACEPOINT
from tests.kernel.conftest import ways_of_reading
from tests.kernel.programs import dynamic_elf, execute, script, static_elf
from tests.kernel.running import running
from tests.kernel.tracing import child, mount, own_mounts

HASH_KEY = b"0123456789abcdef"
PRIME = 7


@pytest.fixture
def everything(tmp_path):
    """Return a function that executes files of every kind, at every kind of path, and returns how often."""

    def everything():
        static, dynamic = static_elf(tmp_path / "static"), dynamic_elf(tmp_path / "dynamic")
        names = [static_elf(tmp_path / ("n" * length)) for length in (1, 7, 8, 9, 31, 32, 33, 39, 40, 41, 255)]
        deep = tmp_path / "/".join("d" * 60)
        deep.mkdir(parents=True)
        files = [static, dynamic, script(tmp_path / "script"), *names, static_elf(deep / "static")]
        files.append(script(tmp_path / "nested", interpreter=str(tmp_path / "script")))
        for path in files:
            execute(path, PRIME)
        for stdin in (None, "/", "/dev/zero", str(static)):
            execute(dynamic, PRIME, stdin=stdin)
        with chdir(deep.parent):
            execute(script(deep.parent / "relative").name, PRIME)
        child(overlay)
        memfd = os.memfd_create("memfd", 0)
        os.write(memfd, static.read_bytes())
        deleted = os.open(static, os.O_PATH)
        static.unlink()
        for descriptor in (memfd, deleted):
            execute(f"/proc/self/fd/{descriptor}", PRIME)
            os.close(descriptor)
        return PRIME * (len(files) + 7) + 1

    def overlay(tell):
        own_mounts()
        for name in ("lower", "empty", "merged"):
            (tmp_path / name).mkdir()
        dynamic_elf(tmp_path / "lower/dynamic")
        mount("none", tmp_path / "merged", "overlay", data=f"lowerdir={tmp_path}/lower:{tmp_path}/empty")
        os.execve(tmp_path / "merged/dynamic", ["x"], {})

    return everything


@pytest.mark.native
def test_it_is_the_kernel_that_decides():
    expected = TYPED_TRACEPOINT if True in ways_of_reading() else RAW_TRACEPOINT
    with running() as exporter:
        assert exporter.probe.program_type == expected


@pytest.mark.compiles
def test_without_typed_loads_it_is_verified_too(compiled, typed_loads):
    """Where the kernel has no typed loads, this is the shared probe."""
    if not typed_loads:
        assert compiled.probe.program_type == RAW_TRACEPOINT
        return
    with running(typed_loads=False) as exporter:
        assert exporter.probe.program_type == RAW_TRACEPOINT


def test_keys_and_counts_are_the_same(everything, tmp_path):
    with running(hash_key=HASH_KEY) as typed, running(hash_key=HASH_KEY, typed_loads=False) as plain:
        executed = everything()
        now, before = counted(typed, tmp_path), counted(plain, tmp_path)
    assert sum(now.values()) == executed
    assert now == before


def counted(exporter, directory):
    """Return executions by raw key, of this test's programs."""
    exporter.probe.detach()
    value_of = exporter.probe.structs["execs"].from_buffer_copy
    found = {key: value_of(value).executions for key, value in exporter.probe.entries("execs")}
    exporter.pipeline.drain()
    paths = {key: exporter.pipeline.labels(key).path for key in found}
    return {key: found[key] for key, path in paths.items() if path.startswith((str(directory), "[memfd]", "[deleted]"))}
