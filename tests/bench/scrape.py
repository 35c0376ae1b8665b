"""CPU time of the parts of a scrape at 1,000, 10,000 and 100,000 series; the same for other exporters."""

import asyncio
import gzip
import shutil
import socket
import subprocess
import time
import urllib.request
from contextlib import closing, contextmanager

import psutil
from prometheus_client import generate_latest

from exporter.collectors.flags import SeriesOptions
from exporter.collectors.pipeline import Pipeline
from exporter.events.labels import Labels
from exporter.metrics.exposition import GZIP_LEVEL, Exposition
from exporter.metrics.render import TEXT, Renderer
from exporter.metrics.scrape import Scrape
from exporter.probe.probe import Probe
from exporter.probe.program import ProbeSettings
from tests.bench import packages
from tests.bench.kernel import fill
from tests.bench.measure import Progress, spread, table

SERIES = 1_000, 10_000, 100_000
FULL_MAPS = 1_000, 16_000, 256_000
SCRAPERS = 4
SERIES_OF_A_PROCESS, MOST_OF_PROCESSES = 24, 10_000  # of process-exporter
DEADLINE_SECONDS = 30


@contextmanager
def filled(entries, room):
    """Yield a probe that is not attached, with so many programs, each in a series of its own, and room for so many."""
    with closing(Probe(ProbeSettings(collect=frozenset(), map_entries=room))) as probe:
        pipeline = Pipeline(probe, SeriesOptions(limit=room))
        fill(probe, entries)
        paths = (f"/usr/lib/some-package/program-{number:06}" for number in range(entries))
        keys = (key for key, _ in probe.entries("execs"))
        pipeline.preload(
            {key: Labels(path, "/lib64/ld-linux-x86-64.so.2", "null") for key, path in zip(keys, paths, strict=True)}
        )
        yield probe, pipeline


class _Families:
    def __init__(self, families):
        self._families = families

    def collect(self):
        return self._families


def cpu_ms(action):
    """Return the result of `action`, and the CPU time in ms that all threads of this process used meanwhile."""
    started = time.process_time()
    result = action()
    return result, (time.process_time() - started) * 1e3


def ours(entries, scrapes, room=1 << 17):
    """Return rows for the parts of a scrape, whole scrapes, four at once, and a plain generate_latest."""
    parts = {"reading": [], "rendering": [], "compression": [], "all": [], f"{SCRAPERS} at once": [], "plain": []}
    with filled(entries, room) as (_, pipeline):
        collector, renderer = Scrape(pipeline.collectors), Renderer(TEXT)
        exposition = Exposition(lambda _: collector.collect())

        async def hold_gil():
            await asyncio.gather(*(exposition.body(TEXT, True) for _ in range(SCRAPERS)))

        progress = Progress(f"scrapes of {entries:,} series", scrapes + 1)
        for scrape in range(scrapes + 1):
            families, reading = cpu_ms(lambda: list(collector.collect()))
            body, rendering = cpu_ms(lambda families=families: renderer.render(families))
            _, compression = cpu_ms(lambda body=body: gzip.compress(body, GZIP_LEVEL, mtime=0))
            _, together = cpu_ms(lambda: asyncio.run(hold_gil()))
            plain = 0.0
            if scrape < 4:
                _, plain = cpu_ms(lambda families=families: generate_latest(_Families(families)))
            if scrape:  # the first renders every label set
                figures = (reading, rendering, compression, reading + rendering + compression, together)
                for name, value in zip(parts, figures, strict=False):
                    parts[name].append(value)
                if plain:
                    parts["plain"].append(plain)
            progress.step()
        exposition.close()
    return [spread(parts[name], "{:.1f}") for name in parts]


def node_exporter(directory, entries, scrapes):
    """Return CPU time of node_exporter per scrape of a file with as many series, in ms."""
    lines = "\n".join(
        f'exec_executions_total{{path="/usr/lib/some-package/program-{number:06}",interpreter="/lib64/ld-linux.so.2",'
        f'stdin_type="null"}} {number}'
        for number in range(entries)
    )
    (directory / "series.prom").write_text(f"# TYPE exec_executions_total counter\n{lines}\n", "ascii")
    options = ["--collector.disable-defaults", "--collector.textfile", f"--collector.textfile.directory={directory}"]
    return _cpu_of("prometheus-node-exporter", options, scrapes)


def process_exporter(directory, entries, scrapes):
    """Return CPU time of process-exporter per scrape of about as many series, of sleeping processes, in ms."""
    names, processes = [f"waits-{number}" for number in range(entries // SERIES_OF_A_PROCESS)], []
    try:
        for name in names:
            (directory / name).symlink_to(shutil.which("sleep"))
            processes.append(subprocess.Popen([directory / name, "infinity"]))
        return _cpu_of("prometheus-process-exporter", [f"-procnames={','.join(names)}"], scrapes)
    finally:
        for process in processes:
            process.kill()
            process.wait()
        for name in names:
            (directory / name).unlink(missing_ok=True)


def _cpu_of(package, options, scrapes):
    """Return CPU time per scrape of one of Debian's exporters in ms, and its number of series."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    process = subprocess.Popen(
        [packages.unpacked(package) / "usr/bin" / package, *options, f"--web.listen-address={address}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        url = f"http://{address}/metrics"
        request = urllib.request.Request(url, headers={"Accept-Encoding": "gzip"})
        text = gzip.decompress(_get(request, time.monotonic() + DEADLINE_SECONDS)).decode()
        series = sum(line[:1] not in ("", "#") for line in text.splitlines())
        used = psutil.Process(process.pid).cpu_times
        before = sum(used()[:2])
        for _ in range(scrapes):
            _get(request, time.monotonic() + DEADLINE_SECONDS)
        return f"{(sum(used()[:2]) - before) * 1e3 / scrapes:.1f} ({series:,} series)"
    finally:
        process.kill()
        process.wait()


def _get(request, end):
    while True:
        try:
            with urllib.request.urlopen(request, timeout=DEADLINE_SECONDS) as answer:
                return answer.read()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def scrape(directory, quick):
    """Return the table of costs of scrapes."""
    rows = []
    for entries in SERIES[: 2 if quick else 3]:
        others = [node_exporter(directory, entries, 5 if quick else 20)]
        others.append(process_exporter(directory, entries, 3 if quick else 10) if entries <= MOST_OF_PROCESSES else "")
        rows.append([f"{entries:,}", *ours(entries, 5 if quick else 15), *others])
    head = ["series", "reading", "rendering", "gzip", "a scrape", f"{SCRAPERS} at once, gzip"]
    head += ["generate_latest instead of rendering", "node_exporter, a file", "process-exporter, processes that wait"]
    cost = table("CPU of a scrape, ms", head, rows)
    rows = [[f"{entries:,}", *ours(entries, 5 if quick else 15, entries)[:4]] for entries in FULL_MAPS]
    return f"{cost}\n{table('CPU of a scrape of a full map, ms', ['entries', *head[1:5]], rows)}"
