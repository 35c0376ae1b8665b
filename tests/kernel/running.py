"""The exporter in this process, read as Prometheus reads it: through its exposition."""

from contextlib import contextmanager

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from exporter.__main__ import collectors
from exporter.catalogue import Catalogue
from exporter.decode import Decoder
from exporter.label import Labels
from exporter.novelty_collector import NoveltyCollector
from exporter.probe import Probe, ProbeSettings


class Running:
    def __init__(self, probe):
        self.probe = probe
        decoder = Decoder(probe.layouts)
        self.catalogue = Catalogue(decoder, probe.introductions)
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(collectors(probe, self.catalogue, decoder, NoveltyCollector(None).collect))

    def scrape(self):
        text = generate_latest(self._registry).decode()
        return Scraped([s for family in text_string_to_metric_families(text) for s in family.samples])


class Scraped:
    def __init__(self, samples):
        self._samples = samples

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
        counted = self.value("exec_executions_total") + self.value("exec_exporter_executions_lost_total")
        return counted == self.value("exec_exporter_probe_runs_total")


@contextmanager
def running(**settings):
    probe = Probe(ProbeSettings(**settings))
    try:
        probe.attach()
        yield Running(probe)
    finally:
        probe.close()
