"""The table of metrics: what is exposed, and the one source of the README's table."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from exporter.classify import QUIET, Reason
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


COLLECTORS = ("executions", "novelty", "probe")

BASELINE_STATES = ("learning", "watching", "lost", "off")

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
NOVEL = Metric(
    "exec_novel_binaries_total",
    "counter",
    "Files that were executed here for the first time, by what is new about them.",
    ("reason",),
    {"reason": tuple(Reason)},
)
NOVEL_FIRST_SEEN = Metric(
    "exec_novel_binary_first_seen_timestamp_seconds",
    "gauge",
    "When an open finding was first executed; of the newest (--findings.series).",
    ("id", "reason", "path", "interpreter"),
    {"reason": tuple(reason for reason in Reason if reason not in QUIET)},
)
BASELINE_STATE = Metric(
    "exec_exporter_baseline_state",
    "gauge",
    "What novel binaries are told by: 1 for the state that it is in.",
    ("state",),
    {"state": BASELINE_STATES},
)
LEARNING_END = Metric(
    "exec_exporter_learning_end_timestamp_seconds",
    "gauge",
    "When learning has ended, or will end if the exporter runs on; 0 if it is off.",
)
FINDINGS_OPEN = Metric("exec_exporter_findings_open", "gauge", "Findings that nobody has accepted.")
CATALOGUE_PROGRAMS = Metric("exec_exporter_catalogue_programs", "gauge", "Programs that the catalogue remembers.")
CATALOGUE_EVICTIONS = Metric(
    "exec_exporter_catalogue_evictions_total",
    "counter",
    "Programs and findings that the catalogue has forgotten because it was full (--catalogue.max-entries).",
)
CATALOGUE_ERRORS = Metric(
    "exec_exporter_catalogue_errors_total", "counter", "Times that the catalogue could not be read or written."
)
NOVELTY_DEFERRED = Metric(
    "exec_exporter_novelty_deferred_total",
    "counter",
    "Introductions that novelty had no room for; their programs are looked at later, without their records.",
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
    NOVEL,
    NOVEL_FIRST_SEEN,
    BASELINE_STATE,
    LEARNING_END,
    FINDINGS_OPEN,
    CATALOGUE_PROGRAMS,
    CATALOGUE_EVICTIONS,
    CATALOGUE_ERRORS,
    NOVELTY_DEFERRED,
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
