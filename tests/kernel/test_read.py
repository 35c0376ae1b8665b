"""A map is read completely, by every way of reading."""

import ctypes

import bcc
import pytest

from exporter.kernel.bpf_map import Map
from exporter.kernel.map_reader import read_entries
from tests.kernel.programs import execute, static_elf
from tests.kernel.scale import scaled

PROGRAMS = scaled(300, emulated=30)


@pytest.fixture(scope="module")
def still(compiled, tmp_path_factory):
    """Yield a detached probe with many counts, whose map no longer changes."""
    directory = tmp_path_factory.mktemp("programs")
    compiled.probe.attach()
    for number in range(PROGRAMS):
        execute(static_elf(directory / f"elf-{number}", salt=number.to_bytes(2, "little")), 2)
    compiled.probe.detach()
    return compiled


def one_by_one(table):
    """Return the entries of a map as BCC reads them."""
    key, value = ctypes.create_string_buffer(table.key_size), ctypes.create_string_buffer(table.value_size)
    end = bcc.lib.bpf_get_first_key(table.fd, key, table.key_size)
    while end >= 0:
        assert bcc.lib.bpf_lookup_elem(table.fd, key, value) == 0
        yield key.raw, value.raw
        end = bcc.lib.bpf_get_next_key(table.fd, key, key)


@pytest.mark.parametrize("chunk", [1, 2, 7, PROGRAMS, 4096])
def test_every_entry_is_read_once_with_any_size_of_chunks(still, chunk):
    table = still.probe.maps["execs"]
    found = list(read_entries(table, chunk))
    assert dict(found) == dict(one_by_one(table))
    assert len(found) == len(dict(found)) >= PROGRAMS


def test_a_map_that_cannot_be_read_is_an_error():
    with pytest.raises(OSError, match="Bad file descriptor"):
        list(read_entries(Map(-1, 72, 16, 8)))
