"""A complete exposition of hand-written maps. `python -m tests.unit.golden` updates the golden file."""

import re
from pathlib import Path
from types import SimpleNamespace

from prometheus_client import ProcessCollector

from exporter.collectors.config_files import config_files
from exporter.collectors.novelty import novelty_families
from exporter.metrics.definitions import CONFIG_RELOADED
from exporter.metrics.render import TEXT, Renderer
from exporter.metrics.scrape import Scrape
from exporter.novelty.snapshot import NoveltySnapshot
from exporter.probe.exec_header import HISTOGRAMS
from tests.unit.maps import SECOND, Maps, Process, pipeline_of

GOLDEN = Path(__file__).parent / "golden.prom"
# Values that differ between runs and machines.
CHANGING = (
    (re.compile(r"(?m)^(process_\S+) .*"), r"\1 1.0"),
    (re.compile(r"(?m)^(exec_exporter_collector_duration_seconds\S+) .*"), r"\1 0.001"),
    (re.compile(r'version="[^"]*",python_version="[^"]*"'), 'version="1.2.3",python_version="3.11.2"'),
    (re.compile(r'python_version="[^"]*",version="[^"]*"'), 'python_version="3.11.2",version="1.2.3"'),
)
SEED = 1 << 63
VIEW = NoveltySnapshot(
    state="watching",
    learning_end=1795503513.0,
    totals={"new_path": 2, "reinstalled": 7},
    open={("4435ae0f49b902f0", "new_path", '/tmp/a "quote"', "/lib64/ld-linux-x86-64.so.2"): 1795503514.5},
    open_findings=1,
    programs=1200,
    evictions=3,
    errors=1,
    deferred=4,
)


def exposition():
    """Return the exposition of one scrape."""
    maps = Maps()
    pipeline = pipeline_of(maps, seeds={SEED: "/usr/lib/systemd/systemd"})
    maps.maps["processes"][b"\1\0\0\0"] = Process(0, SEED)
    maps.now = 5 * SECOND
    maps.execute(1, 12, path="usr/bin/true", stdin_type=6)
    maps.execute(2, 3, path='tmp/a "quote", a \\ and a \n', stdin_type=3, pid=7)
    maps.execute(3, 1, path="memfd:x", stdin_type=4, flags=8, pid=8)
    for outcome, pid in enumerate((9, 10)):
        maps.execute(1, 1, pid=pid, stdin_type=6)
        maps.end(pid, outcome, lifetime_us=2_500_000, bucket=4)
    maps.failed = {2: 31, 8: 1, 116: 2}
    maps.counts.update(COUNTER_FORKS_PROCESS=40, COUNTER_FORKS_THREAD=13, COUNTER_LOST_MAP_FULL=2)
    maps.counts["COUNTER_PROBE_RUNS"] = maps.runs + 2
    for first, _ in maps.cpus:
        first.sums[:] = [3000] * len(HISTOGRAMS)
        first.buckets[:] = (1, 2, 0, 4, *[0] * 8) * len(HISTOGRAMS)
    scrape = Scrape({**pipeline.collectors, "novelty": lambda: novelty_families(VIEW)})
    files = [SimpleNamespace(name=name, path=GOLDEN, successful=True) for name in CONFIG_RELOADED.values["file"]]
    families = [*scrape.collect(), *config_files(files), *ProcessCollector(registry=None).collect()]
    text = Renderer(TEXT).render(families).decode()
    for pattern, replacement in CHANGING:
        text = pattern.sub(replacement, text)
    return text


if __name__ == "__main__":
    GOLDEN.write_text(exposition(), "utf-8")
