"""Maps, strings in maps and programs, as BCC's own binding to libbpf and the kernel's files show them."""

import ctypes
import errno
import os
import struct
from pathlib import Path

import bcc
import pytest

from exporter.compiler.compile import native_stderr
from exporter.kernel import bpf_syscall
from exporter.kernel.blob_map import KEY, VALUE_BYTES, BlobMap
from exporter.kernel.bpf_map import ARRAY, HASH, PERCPU_ARRAY, Map, possible_cpus
from exporter.kernel.bpf_syscall import PROG_TYPE_RAW_TRACEPOINT, ProgramKind
from exporter.kernel.map_reader import read_entries

pytestmark = pytest.mark.every_kernel

ENTRIES = 257
EXIT_0 = struct.pack("<BBhi", 0xB7, 0, 0, 0) + struct.pack("<BBhi", 0x95, 0, 0, 0)
EXIT_ALONE = struct.pack("<BBhi", 0x95, 0, 0, 0)


@pytest.fixture
def table():
    made = Map.create(HASH, 8, 12, ENTRIES, name="of_a_test")
    yield made
    os.close(made.fd)


@pytest.fixture
def blobs():
    made = BlobMap.create("of_a_test", 5)
    yield made
    made.close()


def key(number):
    return struct.pack("<Q", number)


def seen(table, key):
    """Return the value that BCC reads."""
    value = ctypes.create_string_buffer(table.value_size)
    found = bcc.lib.bpf_lookup_elem(table.fd, ctypes.create_string_buffer(key, table.key_size), value)
    return value.raw if found == 0 else None


def described(descriptor):
    """Return the description of a map in /proc."""
    lines = Path(f"/proc/self/fdinfo/{descriptor}").read_text().splitlines()
    return dict(line.replace(":", "").split()[:2] for line in lines)


def test_a_map_has_the_type_and_sizes_of_its_creation(table):
    shown = described(table.fd)
    assert [int(shown[name]) for name in ("map_type", "key_size", "value_size", "max_entries")] == [1, 8, 12, ENTRIES]
    assert Map.of(table.fd) == table
    assert bpf_syscall.map_info(table.fd).id == int(shown["map_id"])


def test_entries_are_set_read_and_removed(table):
    assert table.put(key(1), b"one")
    assert seen(table, key(1)) == table.get(key(1)) == b"one".ljust(12, b"\0")
    assert not table.put(key(1), b"two", new=True)
    assert seen(table, key(1)) == b"one".ljust(12, b"\0")
    assert table.put(key(1), b"two")
    assert table.take(key(1)) == b"two".ljust(12, b"\0")
    assert seen(table, key(1)) is table.take(key(1)) is table.get(key(1)) is None
    table.put(key(2), b"")
    table.remove(key(2))
    table.remove(key(2))
    assert seen(table, key(2)) is None


def test_a_full_map_is_an_error(table):
    for number in range(ENTRIES):
        table.put(key(number), b"")
    with pytest.raises(OSError, match="Argument list too long"):
        table.put(key(ENTRIES), b"")


@pytest.mark.parametrize("chunk", [1, 3, 4096])
def test_all_entries_are_read_once(table, chunk):
    for number in range(ENTRIES):
        table.put(key(number), key(number * 7))
    found = list(read_entries(table, chunk))
    assert len(found) == ENTRIES
    assert dict(found) == {key(number): seen(table, key(number)) for number in range(ENTRIES)}


@pytest.mark.parametrize(("map_type", "values"), [(ARRAY, 1), (PERCPU_ARRAY, possible_cpus())])
def test_elements_of_arrays(map_type, values):
    table = Map.create(map_type, 4, 12, 2)
    assert table.at(1) == [bytes(12)] * values
    with pytest.raises(IndexError):
        table.at(2)
    os.close(table.fd)


def test_strings_of_any_length(blobs):
    strings = {7: b"", 3: b"x", 9: os.urandom(2 * VALUE_BYTES)}
    assert [blobs.put(number, data) for number, data in strings.items()] == [1, 1, 3]
    assert blobs.read() == strings
    with pytest.raises(OSError, match="Argument list too long"):
        blobs.put(10, b"one more than fits")
    blobs.remove(9)
    blobs.remove(9)
    assert blobs.read() == {7: b"", 3: b"x"}


def test_parts_that_belong_to_no_string_are_removed(blobs):
    for number, data in {2: b"whole", 5: bytes(2 * VALUE_BYTES)}.items():
        blobs.put(number, data)
    blobs.map.remove(KEY.pack(5, 0, 0))  # killed while the string is removed, or before its first part is written
    blobs.map.put(KEY.pack(2, 1, 0), b"part of a longer string whose number was used again")
    assert blobs.recover() == [2]
    assert [KEY.unpack(key)[:2] for key, _ in read_entries(blobs.map)] == [(2, 0)]
    assert blobs.read() == {2: b"whole"}


def test_a_string_that_does_not_fit_leaves_nothing(blobs):
    with pytest.raises(OSError, match="Argument list too long"):
        blobs.put(1, bytes(5 * VALUE_BYTES))
    assert not list(read_entries(blobs.map))


def test_a_string_that_claims_more_parts_than_the_map_has_is_not_read_and_can_be_removed(blobs):
    blobs.put(1, b"x")
    blobs.map.put(KEY.pack(1, 0, 0), b"\xff" * VALUE_BYTES)
    assert blobs.recover() == [1]
    assert blobs.get(1) is None
    blobs.remove(1)
    assert not list(read_entries(blobs.map))


@pytest.mark.parametrize("part", [0, 1])
def test_a_damaged_string_is_not_read(blobs, part):
    blobs.put(1, bytes(2 * VALUE_BYTES))
    blobs.put(2, b"whole")
    blobs.map.put(KEY.pack(1, part, 0), b"damaged")
    assert blobs.read() == {2: b"whole"}


def test_a_program_is_loaded_under_its_name():
    program = bpf_syscall.load(EXIT_0, ProgramKind(PROG_TYPE_RAW_TRACEPOINT), "a_name_that_is_too_long")
    assert described(program)["prog_type"] == str(PROG_TYPE_RAW_TRACEPOINT)
    os.close(program)


def test_the_verifiers_log_is_a_note_and_nothing_is_printed():
    with native_stderr() as printed, pytest.raises(PermissionError) as raised:
        bpf_syscall.load(EXIT_ALONE, ProgramKind(PROG_TYPE_RAW_TRACEPOINT), "refused")
    assert raised.value.errno == errno.EACCES
    assert any("R0 !read_ok" in note for note in raised.value.__notes__)
    assert printed == [""]
