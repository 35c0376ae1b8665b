"""The keys of the map: which executions are of the same program."""

import os
import shutil
import time
from pathlib import Path

import pytest

from tests.kernel.programs import dynamic_elf, elf_interpreter, execute, static_elf
from tests.kernel.tracing import MS_BIND, MS_REC, child, mount, own_mounts

RESTARTS = 5
CLOCK_REALTIME_COARSE = 5  # linux/time.h; Python does not name it


@pytest.fixture
def keys(exporter):
    """Return a function that calls another and returns the keys that it adds to the map, of paths below a directory."""

    def keys(directory, action):
        before = set(dict(exporter.probe.entries("execs")))
        action()
        exporter.pipeline.drain()
        added = set(dict(exporter.probe.entries("execs"))) - before
        return [key for key in added if exporter.pipeline.labels(key).path.startswith(str(directory))]

    return keys


def test_a_program_that_is_executed_again_is_the_same(keys, tmp_path):
    program = static_elf(tmp_path / "static")
    assert len(keys(tmp_path, lambda: execute(program, 3))) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda path: static_elf(path.with_name("new")).rename(path),
        lambda path: path.chmod(0o700),
        lambda path: path.write_bytes(path.read_bytes() + b"x"),
    ],
    ids=["replaced", "other permissions", "changed in place"],
)
def test_a_file_that_was_changed_is_another(keys, tmp_path, change):
    program = static_elf(tmp_path / "static")
    execute(program)

    def act():
        # changes within one tick of the coarse clock may share a change time
        while time.clock_gettime_ns(CLOCK_REALTIME_COARSE) <= program.stat().st_ctime_ns:
            os.sched_yield()
        change(program)
        execute(program)

    assert len(keys(tmp_path, act)) == 1


def test_an_inode_number_that_is_used_again_at_once_is_another(keys, tmp_path):
    program = static_elf(tmp_path / "static")
    execute(program)

    def act():
        program.unlink()
        static_elf(program)
        execute(program)

    assert len(keys(tmp_path, act)) == 1


def test_a_container_that_is_started_again_has_the_same_programs(exporter, keys, tmp_path):
    """An overlay gets another device number with each mount; Linux 5.10 shows nothing else of it."""
    base, merged = tmp_path / "base", tmp_path / "merged"
    for directory in (base, merged):
        directory.mkdir()
    (base / "lower").mkdir()
    (base / "empty").mkdir()
    static_elf(base / "lower/static")
    devices = set()

    def start(held):
        def action(tell):
            own_mounts()
            for number in range(held):  # free device numbers would be reused
                (base / f"held-{number}").mkdir(exist_ok=True)
                mount("none", base / f"held-{number}", "tmpfs")
            mount("none", merged, "overlay", data=f"lowerdir={base}/lower:{base}/empty")
            tell({"dev": merged.stat().st_dev})
            os.execve(merged / "static", ["x"], {})

        devices.add(child(action)[1]["dev"])

    found = keys(merged, lambda: [start(number) for number in range(RESTARTS)])
    assert len(devices) > 1
    assert len(found) == (len(devices) if exporter.probe.lacks("overlay_backing") else 1)


def test_another_elf_interpreter_at_the_same_path_makes_another_program(keys, tmp_path):
    program = dynamic_elf(tmp_path / "dynamic")
    loader = elf_interpreter(program)
    other = shutil.copy2(loader, tmp_path / "loader")
    execute(program)

    def action(_):
        own_mounts()
        mount(other, loader, flags=MS_BIND)
        os.execve(program, ["x"], {})

    assert len(keys(tmp_path, lambda: child(action))) == 1


def test_the_same_elf_interpreter_by_another_path_is_the_same(exporter, keys, tmp_path):
    """ELF interpreters are identified by file, not by path."""
    program, root = dynamic_elf(tmp_path / "dynamic"), tmp_path / "root"
    root.mkdir()
    execute(program)

    def action(_):
        descriptor = os.open(program, os.O_RDONLY | os.O_CLOEXEC)
        own_mounts()
        mount("/", root, flags=MS_BIND | MS_REC)
        os.chroot(root)
        os.execve(descriptor, ["x"], {})

    before = exporter.scrape()
    assert keys(tmp_path, lambda: child(action)) == []
    name = "exec_executions_total"
    assert exporter.scrape().value(name, path=str(program)) == before.value(name, path=str(program)) + 1


def test_the_hash_of_a_path_is_keyed(exporter, keys, tmp_path):
    """The probe's key is secret and random: nobody can construct names that collide."""
    program = static_elf(tmp_path / "static")
    (key,) = keys(tmp_path, lambda: execute(program))
    secret = exporter.probe.loaded.hash_key
    assert exporter.probe.layouts.key.from_buffer_copy(key).file.path_hash == siphash_of_path(program, secret)
    assert siphash_of_path(program, secret) != siphash_of_path(program, bytes([*secret[:15], secret[15] ^ 1]))


def siphash_of_path(path, key):
    """Return the SipHash-1-3, by its paper, of the names of a path, leaf first, padded as in bpf/siphash.h."""
    mask = (1 << 64) - 1
    k0, k1 = int.from_bytes(key[:8], "little"), int.from_bytes(key[8:], "little")
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]

    def rotated(word, bits):
        return (word << bits | word >> 64 - bits) & mask

    def turn():
        v[0] = (v[0] + v[1]) & mask
        v[1] = rotated(v[1], 13) ^ v[0]
        v[0] = rotated(v[0], 32)
        v[2] = (v[2] + v[3]) & mask
        v[3] = rotated(v[3], 16) ^ v[2]
        v[0] = (v[0] + v[3]) & mask
        v[3] = rotated(v[3], 21) ^ v[0]
        v[2] = (v[2] + v[1]) & mask
        v[1] = rotated(v[1], 17) ^ v[2]
        v[2] = rotated(v[2], 32)

    def word(value):
        v[3] ^= value
        turn()
        v[0] ^= value

    for name in reversed([os.fsencode(part) for part in Path(path).parts[1:]]):
        whole, left = divmod(len(name), 8)
        for index in range(whole):
            word(int.from_bytes(name[index * 8 : index * 8 + 8], "little"))
        word(int.from_bytes(name[whole * 8 :], "little") | left + 1 << 56)
    v[2] ^= 0xFF
    for _ in range(3):
        turn()
    return v[0] ^ v[1] ^ v[2] ^ v[3]
