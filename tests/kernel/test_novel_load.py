"""Very many distinct programs: memory and catalogue stay bounded, and scrapes are answered."""

import os
import time
from pathlib import Path

from tests.kernel.novel import until, watching
from tests.kernel.programs import execute, static_elf

# 200,000 take an hour: NOVEL_PROGRAMS=200000 make test ARGS='-k novel_load'
PROGRAMS = int(os.environ.get("NOVEL_PROGRAMS", "2000"))
ENTRIES = PROGRAMS // 10
ROUND = 500
CATALOGUE_BYTES_PER_ENTRY = 8 << 10
MEMORY_BYTES = 256 << 20  # with a map of executions that is full


def resident(process):
    (line,) = [line for line in Path(f"/proc/{process.pid}/status").read_text().splitlines() if "VmRSS" in line]
    return int(line.split()[1]) * 1024


def test_very_many_programs(tmp_path):
    """Each exists only while it is executed, as in an attack on the catalogue: what is learnt outlives them."""
    learnt = static_elf(tmp_path / "learnt", salt=b"learnt")
    with watching(tmp_path, learning="1h", state="learning") as host:
        execute(learnt)
        until(lambda: str(learnt) in host.programs())
    options = (f"--catalogue.max-entries={ENTRIES}", "--findings.series=50")
    with watching(tmp_path, *options, learning="1ms") as host:
        started, slowest, most = time.monotonic(), 0.0, 0
        path = tmp_path / "program"
        for number in range(PROGRAMS):
            path = tmp_path / f"program-{number % ROUND}"
            static_elf(path, salt=number.to_bytes(8, "big"))
            execute(path)
            if number % ROUND == ROUND - 1:
                before = time.monotonic()
                shown = host.samples()
                slowest = max(slowest, time.monotonic() - before)
                most = max(most, resident(host.service.process))
                assert len([s for s in shown if s.name.startswith("exec_novel_binary_first_seen")]) <= 50
        until(lambda: host.open(path))
        files = sum(file.stat().st_size for file in tmp_path.glob("catalogue.db*"))
        evicted = host.value("exec_exporter_catalogue_evictions_total")
        print(
            f"{PROGRAMS} programs in {time.monotonic() - started:.0f} s; resident {most >> 20} MiB;"
            f" catalogue {files >> 10} KiB; slowest scrape {slowest:.2f} s; {evicted:.0f} evicted;"
            f" {host.value('exec_exporter_novelty_deferred_total'):.0f} deferred"
        )
        assert host.value("exec_exporter_catalogue_programs") <= ENTRIES
        assert evicted > 0
        assert files <= max(ENTRIES * CATALOGUE_BYTES_PER_ENTRY, 16 << 20)
        assert most <= MEMORY_BYTES
        assert host.value("exec_exporter_catalogue_errors_total") == 0
        assert str(learnt) in host.programs()
        assert host.value("exec_exporter_executions_lost_total") == 0
