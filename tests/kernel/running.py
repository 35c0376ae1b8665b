"""The exporter in this process, read as Prometheus reads it: through its exposition."""

from contextlib import contextmanager

from prometheus_client import CollectorRegistry, generate_latest

from exporter.collectors.flags import SeriesOptions
from exporter.collectors.pipeline import Pipeline
from exporter.metrics.scrape import Scrape
from exporter.probe.probe import Probe
from exporter.probe.program import ProbeSettings
from tests.scraped import Scraped


class Running:
    def __init__(self, probe, series):
        self.probe = probe
        self.pipeline = Pipeline(probe, series)
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(Scrape(self.pipeline.collectors))

    def scrape(self):
        return Scraped(generate_latest(self._registry).decode())


DEFAULTS = SeriesOptions()


@contextmanager
def running(series=DEFAULTS, **settings):
    probe = Probe(ProbeSettings(**settings))
    try:
        probe.refresh_settings()
        probe.attach()
        yield Running(probe, series)
    finally:
        probe.close()
