"""The exporter in this process, read as Prometheus reads it: through its exposition."""

from contextlib import contextmanager

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from exporter.collectors.flags import SeriesOptions
from exporter.collectors.pipeline import Pipeline
from exporter.events.labels import Labels
from exporter.metrics.scrape import Scrape
from exporter.probe.probe import Probe
from exporter.probe.program import ProbeSettings


class Running:
    def __init__(self, probe, series):
        self.probe = probe
        self.pipeline = Pipeline(probe, series)
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(Scrape(self.pipeline.collectors))

    def scrape(self):
        text = generate_latest(self._registry).decode()
        return Scraped([s for family in text_string_to_metric_families(text) for s in family.samples])


class Scraped:
    def __init__(self, samples):
        self._samples = samples

    def samples(self, name):
        return [sample for sample in self._samples if sample.name == name]

    def value(self, name, **labels):
        """The sum of all samples of that name that have those labels."""
        return sum(s.value for s in self._samples if s.name == name and labels.items() <= s.labels.items())

    def executions(self, below=""):
        """The series of exec_executions_total whose path begins with `below`."""
        return {
            Labels(s.labels["path"], s.labels["interpreter"], s.labels["stdin_type"]): s.value
            for s in self._samples
            if s.name == "exec_executions_total" and s.labels["path"].startswith(str(below))
        }

    def sum_is_exact(self):
        expired = self.value("exec_exporter_executions_expired_total")
        lost = self.value("exec_exporter_executions_lost_total")
        return self.value("exec_executions_total") + lost + expired == self.value("exec_exporter_probe_runs_total")


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
