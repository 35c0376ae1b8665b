"""A start that is not the first on a kernel needs no compiler, and counts alike."""

import sys

import pytest

from exporter.probe.program import HASH_KEY
from tests.kernel.command import served
from tests.kernel.programs import execute, static_elf
from tests.kernel.running import running
from tests.kernel.test_refusals import WITHOUT_BCC, in_a_mount_namespace
from tests.scraped import Scraped

TIMES = 7, 11


@pytest.mark.native
@pytest.mark.usefixtures("cold")
def test_the_second_start_needs_no_bcc_and_counts_alike(tmp_path):
    program = static_elf(tmp_path / "static")
    for times, command in zip(TIMES, ({}, {"command": in_a_mount_namespace(WITHOUT_BCC)}), strict=True):
        with served(**command) as exporter:
            execute(program, times)
            counts = Scraped(exporter.get().decode())
            assert counts.value("exec_executions_total", path=str(program)) == times
            assert counts.value("exec_exits_total", path=str(program), outcome="success") == times


@pytest.mark.native
def test_what_is_stored_holds_no_secret(tmp_path):
    """The halves of the key are in the programs as they are loaded; in those that are stored, placeholders."""
    with running(cache_path=str(tmp_path)) as exporter:
        loaded = exporter.probe.loaded
        secrets = {int.from_bytes(half, "little") for half in (loaded.hash_key[:8], loaded.hash_key[8:])}
        assert constants(loaded.bpf.code("on_exec")) >= secrets
        assert not constants(loaded.bpf.code("on_exec")) & {*HASH_KEY}
        stored = constants(loaded.compiled.programs["on_exec"])
        assert stored >= {*HASH_KEY}
        assert not stored & secrets
        assert [*tmp_path.iterdir()]


def constants(code):
    """Return the 64-bit constants of a program, read by hand: bytes 4 to 7 of each 16 are the lower half."""
    lower, upper = code[4:], code[12:]
    return {
        int.from_bytes(lower[at : at + 4] + upper[at : at + 4], sys.byteorder)
        for at in range(0, len(code) - 8, 8)
        if code[at] == 0x18
    }
