"""Scrapes, parsed as Prometheus parses them."""

from prometheus_client.parser import text_string_to_metric_families

from exporter.events.labels import Labels


class Scraped:
    """The samples of a text. With `below`, samples with a path that begins otherwise are skipped: there may be many."""

    def __init__(self, text, below=None):
        lines = text.splitlines(keepends=True)
        if below is not None:
            lines = [line for line in lines if 'path="' not in line or f'path="{below}' in line]
        families = text_string_to_metric_families("".join(lines))
        self.all = [sample for family in families for sample in family.samples]

    def samples(self, name):
        """Return the samples of a metric."""
        return [sample for sample in self.all if sample.name == name]

    def value(self, name, **labels):
        """Return the sum of the samples of a metric that have these labels."""
        return sum(s.value for s in self.all if s.name == name and labels.items() <= s.labels.items())

    def executions(self, below=""):
        """Return the series of exec_executions_total whose path begins with `below`."""
        return {
            Labels(s.labels["path"], s.labels["interpreter"], s.labels["stdin_type"]): s.value
            for s in self.samples("exec_executions_total")
            if s.labels["path"].startswith(str(below))
        }

    def sum_is_exact(self):
        """Return True if counted, lost and expired executions add up to the runs of the probe."""
        expired = self.value("exec_exporter_executions_expired_total")
        lost = self.value("exec_exporter_executions_lost_total")
        return self.value("exec_executions_total") + lost + expired == self.value("exec_exporter_probe_runs_total")
