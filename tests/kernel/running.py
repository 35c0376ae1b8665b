"""The exporter in this process, read through its exposition, as Prometheus does."""

from contextlib import contextmanager

from prometheus_client import CollectorRegistry, generate_latest

from exporter.collectors.flags import SeriesOptions
from exporter.collectors.pipeline import Pipeline
from exporter.metrics.scrape import Scrape
from exporter.probe.probe import Probe
from exporter.probe.program import ProbeSettings
from tests import compiled
from tests.scraped import Scraped


class Running:
    def __init__(self, probe, series):
        self.probe = probe
        self.pipeline = Pipeline(probe, series)
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(Scrape(self.pipeline.collectors))

    def scrape(self):
        return Scraped(generate_latest(self._registry).decode())

    @contextmanager
    def clock_set(self, seconds):
        """While the clock is set so far forward: for the probe, which knows it as the time of boot."""
        settings, layout = self.probe.program.maps["settings"], self.probe.structs["settings"]
        before = settings.get(bytes(4))
        now = layout.from_buffer_copy(before)
        now.boot_time_ns += int(seconds * 10**9)
        settings.set(0, bytes(now))
        try:
            yield
        finally:
            settings.set(0, before)


DEFAULTS = SeriesOptions()


@contextmanager
def running(series=DEFAULTS, **settings):
    probe = Probe(ProbeSettings(**{"cache_path": compiled.DIRECTORY, **settings}))
    try:
        probe.refresh_settings()
        probe.attach()
        yield Running(probe, series)
    finally:
        probe.close()
