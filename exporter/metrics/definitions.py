"""The table of metrics: what is exposed, and the one source of the README's table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from exporter.catalogue.finding import QUIET, Reason
from exporter.compiler.typed_loads import PROGRAM_TYPES
from exporter.events.event_arguments import FIELDS
from exporter.events.exec_errors import ERRORS
from exporter.events.traits import TRAITS
from exporter.probe import script_hook
from exporter.probe.exec_header import FORMATS, LOSS_CAUSES, OUTCOMES, STDIN_TYPES, bounds

Family = CounterMetricFamily | GaugeMetricFamily

MS_PER_SECOND, US_PER_SECOND = 1e3, 1e6


@dataclass(frozen=True)
class Metric:
    """A metric: `values` are all that a label can have, where they are known beforehand.

    Of a histogram `bounds` are the upper bounds of its buckets but the last, in the unit of the metric's name, chosen
    to answer a `question`.
    """

    name: str
    type: str
    help: str
    labels: tuple[str, ...] = ()
    values: dict[str, tuple[str, ...]] = field(default_factory=dict)
    bounds: tuple[float, ...] = ()
    question: str = ""

    def family(self) -> Family:
        """An empty family of this counter or gauge, to which samples are added."""
        kind = CounterMetricFamily if self.type == "counter" else GaugeMetricFamily
        return kind(self.name, self.help, labels=self.labels)


# What each shows; each can be switched off but for the first and the last.
COLLECTORS: Mapping[str, str] = {
    "executions": "programs executed; cannot be switched off",
    "processes": "exits, lifetimes and running processes by path",
    "arguments": "sizes of arguments and environments, and age of the binaries",
    "forks": "processes and threads started",
    "failures": "executions that failed, by error",
    "traits": "executions that are a reason to look",
    "novelty": "binaries that were never executed here before",
    "probe": "the probe itself; cannot be switched off",
}
BASELINE_STATES = ("learning", "watching", "lost", "off")
MAPS = ("execs", "processes", "exits")

EXECUTIONS = Metric(
    "exec_executions_total",
    "counter",
    "Programs executed (successful execve and execveat calls).",
    ("path", "interpreter", "stdin_type"),
    {"stdin_type": tuple(STDIN_TYPES.values())},
)
EXITS = Metric(
    "exec_exits_total",
    "counter",
    "Processes ended, by the program that they ran last.",
    ("path", "outcome"),
    {"outcome": OUTCOMES},
)
LIFETIME = Metric(
    "exec_lifetime_seconds",
    "histogram",
    "Time from an execution to the end of its process.",
    ("path",),
    bounds=tuple(bound / US_PER_SECOND for bound in bounds("lifetime")),
    question="Is it a command, a job or a service?",
)
RUNNING = Metric(
    "exec_running_processes", "gauge", "Processes that run a program; a forked child runs its parent's.", ("path",)
)
ARGUMENTS = Metric(
    "exec_arguments",
    "histogram",
    "Number of arguments of executions.",
    ("format",),
    {"format": FORMATS},
    tuple(map(float, bounds("arguments"))),
    "How long are command lines?",
)
ARGUMENTS_BYTES = Metric(
    "exec_arguments_bytes",
    "histogram",
    "Size of the arguments of executions.",
    ("format",),
    {"format": FORMATS},
    tuple(map(float, bounds("arguments_bytes"))),
    "Which come near the limits, 128 KiB of one argument and usually 2 MiB of all?",
)
ENVIRONMENT_BYTES = Metric(
    "exec_environment_bytes",
    "histogram",
    "Size of the environment of executions.",
    ("format",),
    {"format": FORMATS},
    tuple(map(float, bounds("environment_bytes"))),
    "Is it an ordinary one of 1 to 4 KiB, or near the limits?",
)
BINARY_AGE = Metric(
    "exec_binary_age_seconds",
    "histogram",
    "Time from the last change of a program's file (ctime) to its execution.",
    ("format",),
    {"format": FORMATS},
    tuple(bound / MS_PER_SECOND for bound in bounds("binary_age")),
    "Was the program changed just now, today, this month, ever?",
)
FAILURES = Metric(
    "exec_failures_total",
    "counter",
    "Failed execve and execveat calls, by error.",
    ("error",),
    {"error": (*ERRORS, "other")},
)
FORKS = Metric(
    "exec_forks_total",
    "counter",
    "Processes and threads started by fork, vfork and clone; kernel threads are processes.",
    ("task",),
    {"task": ("process", "thread")},
)
TRAITS_SEEN = Metric(
    "exec_traits_total",
    "counter",
    "Executions that have a trait worth a look; an execution may have several.",
    ("trait",),
    {"trait": tuple(TRAITS)},
)
TRAIT_LAST_SEEN = Metric(
    "exec_trait_last_seen_timestamp_seconds",
    "gauge",
    "When a program was last executed with a trait; of the newest 100.",
    ("trait", "path", "interpreter", "stdin_type"),
    {"trait": tuple(TRAITS), "stdin_type": tuple(STDIN_TYPES.values())},
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
PROBE_RUN_SECONDS = Metric(
    "exec_exporter_probe_run_seconds_total",
    "counter",
    "Time spent in a program of the probe; counted by the kernel while kernel.bpf_stats_enabled=1.",
    ("program",),
    {"program": ("exec", "exit", "fork")},
)
PROCESSES_UNTRACKED = Metric(
    "exec_exporter_processes_untracked_total",
    "counter",
    "Times that a process could not be followed: the map of processes was full, or the kernel did not show it.",
)
EXITS_LOST = Metric(
    "exec_exporter_exits_lost_total",
    "counter",
    "Exits that could not be counted: the map of exits was full, or the kernel did not show them.",
)
MAP_ENTRIES = Metric("exec_exporter_map_entries", "gauge", "Entries in a map of the probe.", ("map",), {"map": MAPS})
MAP_CAPACITY = Metric(
    "exec_exporter_map_capacity", "gauge", "Entries that a map of the probe can have.", ("map",), {"map": MAPS}
)
SERIES = Metric("exec_exporter_series", "gauge", "Label sets of the metrics that have a path, but for path=other.")
SERIES_LIMIT = Metric("exec_exporter_series_limit", "gauge", "How many label sets those metrics may have.")
FOLDED = Metric(
    "exec_exporter_executions_folded_total",
    "counter",
    "Executions counted with path=other because the limit of series was reached.",
)
EXPIRED = Metric(
    "exec_exporter_executions_expired_total",
    "counter",
    "Executions that were counted in series which have ended because their programs were idle.",
)
PROBE_ATTACHED = Metric(
    "exec_exporter_probe_attached", "gauge", "Whether the probe is attached to the kernel (1) or not (0)."
)
PINNED = Metric(
    "exec_exporter_pinned",
    "gauge",
    "Whether the probe is pinned: it counts on while the exporter does not run (1), or ends with it (0).",
)
PROBE_INFO = Metric(
    "exec_exporter_probe_info",
    "gauge",
    "Always 1; its labels say as what the probe is loaded (tp_btf costs less) and which hook sees scripts.",
    ("program_type", "script_hook"),
    {"program_type": PROGRAM_TYPES, "script_hook": (*script_hook.KINDS, "none")},
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
    {"collector": tuple(COLLECTORS)},
)
COLLECTOR_DURATION = Metric(
    "exec_exporter_collector_duration_seconds",
    "gauge",
    "How long a collector took in this scrape, in seconds.",
    ("collector",),
    {"collector": tuple(COLLECTORS)},
)

METRICS = (
    EXECUTIONS,
    EXITS,
    LIFETIME,
    RUNNING,
    ARGUMENTS,
    ARGUMENTS_BYTES,
    ENVIRONMENT_BYTES,
    BINARY_AGE,
    FORKS,
    FAILURES,
    TRAITS_SEEN,
    TRAIT_LAST_SEEN,
    LOST,
    FOLDED,
    EXPIRED,
    PROBE_RUNS,
    PROBE_RUN_SECONDS,
    PROBE_ATTACHED,
    PINNED,
    DEFERRED,
    UNDECODABLE,
    PROCESSES_UNTRACKED,
    EXITS_LOST,
    MAP_ENTRIES,
    MAP_CAPACITY,
    SERIES,
    SERIES_LIMIT,
    FIELD_AVAILABLE,
    COLLECTOR_SUCCESS,
    COLLECTOR_DURATION,
    PROBE_INFO,
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
