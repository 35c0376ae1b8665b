"""Nothing leaks, in the kernel or in the process."""

import psutil
import pytest

from tests.kernel.bpf_objects import bpf_objects, gone
from tests.kernel.command import served
from tests.kernel.programs import execute, static_elf
from tests.kernel.running import running
from tests.kernel.scale import scaled

process = psutil.Process()


@pytest.mark.compiles
def test_attach_detach_attach_again_leaves_nothing(compiled, tmp_path):
    program = static_elf(tmp_path / "static")
    compiled.probe.attach()  # creates objects that stay
    compiled.probe.detach()
    before, descriptors = bpf_objects(), process.num_fds()
    for _ in range(scaled(2, emulated=1)):
        with running() as exporter:
            execute(program, 5)
            assert bpf_objects() - before
            assert sum(exporter.scrape().executions(tmp_path).values()) == 5
    assert gone(before) == set()
    assert process.num_fds() == descriptors


def test_a_detached_probe_counts_no_more(compiled, tmp_path):
    program = static_elf(tmp_path / "static")
    compiled.probe.attach()
    execute(program, 5)
    compiled.probe.detach()
    execute(program, 5)
    scraped = compiled.scrape()
    assert sum(scraped.executions(tmp_path).values()) == 5
    assert scraped.value("exec_exporter_probe_attached") == 0


@pytest.mark.native
def test_a_hundred_scrapes_leak_nothing(tmp_path):
    for number in range(100):
        execute(static_elf(tmp_path / f"elf-{number}", salt=bytes([number])))
    with served() as exporter:
        other = psutil.Process(exporter.process.pid)

        def least():
            """Return the least of many readings: threads end a moment after their response, memory is freed later."""
            readings = []
            for _ in range(50):
                exporter.get()
                readings.append((other.memory_info().rss, other.num_fds(), other.num_threads()))
            return [min(column) for column in zip(*readings, strict=True)]

        least()
        memory, descriptors, threads = least()
        least()
        later, later_descriptors, later_threads = least()
        assert later - memory < 4 << 20
        assert (later_descriptors, later_threads) == (descriptors, threads)
