"""With very many distinct programs, memory and catalogue stay bounded, and scrapes are answered."""

import os
import time
from pathlib import Path

from exporter.catalogue.catalogue import FINDINGS
from tests.kernel.novel import watching
from tests.kernel.programs import execute, static_elf
from tests.waiting import until

# 200,000 take six minutes: NOVEL_PROGRAMS=200000 make test ARGS='-k novel_load --timeout=6000 -s'
PROGRAMS = int(os.environ.get("NOVEL_PROGRAMS", "2000"))
ENTRIES = PROGRAMS // 10
ROUND = 500  # programs between two scrapes, which exist at the same time
CATALOGUE_BYTES = ENTRIES * 1024 + min(ENTRIES, FINDINGS) * 2048 + (8 << 20)  # the last term is the journal of SQLite
MEMORY_BYTES = 160 << 20  # with a full map of executions


def kilobytes(process, name):
    """Return a figure of /proc/<pid>/status in bytes."""
    (line,) = [line for line in Path(f"/proc/{process.pid}/status").read_text().splitlines() if line.startswith(name)]
    return int(line.split()[1]) * 1024


def test_very_many_programs(tmp_path):
    """Programs with distinct names and contents come and go, as in an attack on the catalogue; learnt ones survive."""
    learnt = static_elf(tmp_path / "learnt", salt=b"learnt")
    with watching(tmp_path, learning="1h", state="learning") as host:
        execute(learnt)
        until(lambda: str(learnt) in host.programs())
    options = (f"--catalogue.max-entries={ENTRIES}", "--findings.series=50")
    with watching(tmp_path, *options, learning="1ms") as host:
        process = host.service.process
        runs_before = host.value("exec_exporter_probe_runs_total")
        host.catch_up()
        found_before = host.value("exec_novel_binaries_total")
        started, slowest, most = time.monotonic(), 0.0, 0
        for number in range(PROGRAMS):
            path = static_elf(tmp_path / f"program-{number}", salt=number.to_bytes(8, "big"))
            execute(path)
            if number >= ROUND:
                (tmp_path / f"program-{number - ROUND}").unlink()
            if number % ROUND == ROUND - 1:
                before = time.monotonic()
                body = host.service.get()
                slowest = max(slowest, time.monotonic() - before)
                most = max(most, kilobytes(process, "VmRSS"))
                assert body.count(b"\nexec_novel_binary_first_seen_timestamp_seconds{") <= 50
        executed = time.monotonic()
        until(lambda: str(path) in host.programs(), seconds=600)  # a busy machine lags behind
        judged = time.monotonic()
        found = host.value("exec_novel_binaries_total") - found_before
        runs = host.value("exec_exporter_probe_runs_total") - runs_before
        files = sum(file.stat().st_size for file in tmp_path.glob("catalogue.db*"))
        evicted = host.value("exec_exporter_catalogue_evictions_total")
        deferred = host.value("exec_exporter_novelty_deferred_total")
        print(
            f"\n{PROGRAMS} programs executed in {executed - started:.0f} s, judged in {judged - started:.0f} s:"
            f" {found:.0f} found, {deferred:.0f} deferred, {evicted:.0f} evicted; catalogue {files >> 10} KiB;"
            f" resident {most >> 20} MiB, at most {kilobytes(process, 'VmHWM') >> 20} MiB;"
            f" slowest scrape {slowest:.2f} s"
        )
        # each once; executions of other processes add at most a program and its interpreter each
        assert PROGRAMS <= found <= PROGRAMS + 2 * (runs - PROGRAMS)
        assert host.value("exec_exporter_catalogue_programs") <= ENTRIES
        assert evicted > 0
        assert files <= CATALOGUE_BYTES
        assert most <= MEMORY_BYTES
        assert host.value("exec_exporter_catalogue_errors_total") == 0
        assert str(learnt) in host.programs()
        assert host.value("exec_exporter_executions_lost_total") == 0
