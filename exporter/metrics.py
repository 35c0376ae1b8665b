"""The table of metrics: what is exposed, and the one source of the README's table."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from exporter.event import LOSS_CAUSES, STDIN_TYPES
from exporter.fields import FIELDS

Family = CounterMetricFamily | GaugeMetricFamily


@dataclass(frozen=True)
class Metric:
    """A metric: `values` are all that a label can have, where they are known beforehand."""

    name: str
    type: str
    help: str
    labels: tuple[str, ...] = ()
    values: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def family(self) -> Family:
        """An empty family of this metric, to which samples are added."""
        kind = CounterMetricFamily if self.type == "counter" else GaugeMetricFamily
        return kind(self.name, self.help, labels=self.labels)


COLLECTORS = ("executions", "probe")

EXECUTIONS = Metric(
    "exec_executions_total",
    "counter",
    "Programs executed (successful execve and execveat calls).",
    ("path", "interpreter", "stdin_type"),
    {"stdin_type": tuple(STDIN_TYPES.values())},
)
PROBE_RUNS = Metric("exec_exporter_probe_runs_total", "counter", "Executions that the probe has seen.")
LOST = Metric(
    "exec_exporter_executions_lost_total",
    "counter",
    "Executions that the probe has seen and could not count, by cause.",
    ("cause",),
    {"cause": tuple(LOSS_CAUSES)},
)
DEFERRED = Metric(
    "exec_exporter_introductions_deferred_total",
    "counter",
    "Times that the ring buffer was full and the name of a program had to wait for its next execution.",
)
UNDECODABLE = Metric(
    "exec_exporter_introductions_undecodable_total",
    "counter",
    "Records from the probe that made no sense to the exporter.",
)
MAP_ENTRIES = Metric(
    "exec_exporter_map_entries", "gauge", "Entries in a map of the probe.", ("map",), {"map": ("execs",)}
)
MAP_CAPACITY = Metric(
    "exec_exporter_map_capacity", "gauge", "Entries that a map of the probe can have.", ("map",), {"map": ("execs",)}
)
SERIES = Metric("exec_exporter_series", "gauge", "Label sets of exec_executions_total.")
PROBE_ATTACHED = Metric(
    "exec_exporter_probe_attached", "gauge", "Whether the probe is attached to the kernel (1) or not (0)."
)
BUILD_INFO = Metric(
    "exec_exporter_build_info",
    "gauge",
    "Always 1; its labels say which versions are running.",
    ("version", "python_version", "bcc_version"),
)
FIELD_AVAILABLE = Metric(
    "exec_exporter_field_available",
    "gauge",
    "Whether this kernel shows an argument of the sched_process_exec event (1) or not (0).",
    ("field",),
    {"field": tuple(FIELDS)},
)
COLLECTOR_SUCCESS = Metric(
    "exec_exporter_collector_success",
    "gauge",
    "Whether a collector succeeded (1) or failed (0) in this scrape.",
    ("collector",),
    {"collector": COLLECTORS},
)
COLLECTOR_DURATION = Metric(
    "exec_exporter_collector_duration_seconds",
    "gauge",
    "How long a collector took in this scrape, in seconds.",
    ("collector",),
    {"collector": COLLECTORS},
)

METRICS = (
    EXECUTIONS,
    LOST,
    PROBE_RUNS,
    PROBE_ATTACHED,
    DEFERRED,
    UNDECODABLE,
    MAP_ENTRIES,
    MAP_CAPACITY,
    SERIES,
    FIELD_AVAILABLE,
    COLLECTOR_SUCCESS,
    COLLECTOR_DURATION,
    BUILD_INFO,
)


def markdown() -> str:
    """The table as the README shows it."""
    lines = ["| metric | type | labels | meaning |", "|---|---|---|---|"]
    for metric in METRICS:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        lines.append(f"| `{metric.name}` | {metric.type} | {labels} | {metric.help} |")
    return "\n".join(lines) + "\n"


def _write(readme: Path) -> None:
    """Puts the table into the README, between its marks."""
    text = readme.read_text("utf-8")
    begin, end = text.index("-->", text.index("<!-- metrics")) + 4, text.index("<!-- /metrics -->")
    readme.write_text(text[:begin] + markdown() + text[end:], "utf-8")


if __name__ == "__main__":
    _write(Path("README.md"))
