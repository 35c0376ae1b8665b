"""The map is read whole, however it is read."""

import bcc
import pytest

from exporter.bpf_map import Map
from exporter.read import read_entries
from tests.kernel.command import COMMAND, served
from tests.kernel.programs import execute, static_elf
from tests.kernel.running import running
from tests.kernel.test_command import executions
from tests.kernel.test_refusals import SECCOMP

PROGRAMS = 300


@pytest.fixture(scope="module")
def exporter(tmp_path_factory):
    directory = tmp_path_factory.mktemp("programs")
    with running() as exporter:
        for number in range(PROGRAMS):
            execute(static_elf(directory / f"elf-{number}", salt=number.to_bytes(2, "little")), 2)
        exporter.probe.detach()
        yield exporter


@pytest.mark.parametrize("chunk", [1, 2, 7, PROGRAMS, 4096])
def test_every_entry_is_read_once_whatever_fits_into_a_chunk(exporter, chunk):
    table = exporter.probe._bpf[b"execs"]
    found = list(read_entries(bcc.lib, exporter.probe.maps["execs"], chunk))
    assert dict(found) == {bytes(key): bytes(value) for key, value in table.items()}
    assert len(found) == len(dict(found)) >= PROGRAMS


def test_without_batch_operations_it_reads_one_by_one(tmp_path):
    program = static_elf(tmp_path / "static")
    lookup_batch = "24"
    with served(command=[*SECCOMP, lookup_batch, *COMMAND]) as exporter:
        execute(program, 7)
        assert executions(exporter.get(), tmp_path) == {b"static": 7}


def test_a_map_that_cannot_be_read_is_an_error():
    with pytest.raises(OSError, match="reading a map"):
        list(read_entries(bcc.lib, Map(-1, 72, 16, 8)))
