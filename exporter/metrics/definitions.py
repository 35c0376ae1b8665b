"""Definitions of all metrics: name, type, help, labels, buckets. The documentation is generated from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from exporter.catalogue.finding import QUIET, Reason
from exporter.compiler.kernel_functions import PROGRAM_TYPES
from exporter.events.event_fields import FIELDS
from exporter.events.exec_errors import ERRORS
from exporter.events.traits import TRAITS
from exporter.probe import script_hook
from exporter.probe.exec_header import FORMATS, LOSS_CAUSES, OUTCOMES, STDIN_TYPES, bounds
from exporter.probe.upkeep import OBJECTS

Family = CounterMetricFamily | GaugeMetricFamily

MS_PER_SECOND, US_PER_SECOND = 1e3, 1e6


@dataclass(frozen=True)
class Metric:
    """A metric and its documentation.

    `values` lists all values of a label that has a closed set of them. For a histogram, `bounds` are the finite upper
    bounds of its buckets, in the unit of the metric's name; they are chosen to answer `question`.
    """

    name: str
    type: str
    help: str
    labels: tuple[str, ...] = ()
    values: dict[str, tuple[str, ...]] = field(default_factory=dict)
    bounds: tuple[float, ...] = ()
    question: str = ""

    def family(self) -> Family:
        """Return an empty family of this counter or gauge."""
        kind = CounterMetricFamily if self.type == "counter" else GaugeMetricFamily
        return kind(self.name, self.help, labels=self.labels)


ANY = ()  # the values of a label whose set of values is open


def _metric(
    kind: str, name: str, text: str, question: str = "", upper: Iterable[float] = (), **labels: Iterable[str]
) -> Metric:
    closed = {label: tuple(values) for label, values in labels.items() if values is not ANY}
    return Metric(name, kind, text, tuple(labels), closed, tuple(upper), question)


_counter, _gauge, _histogram = (partial(_metric, kind) for kind in ("counter", "gauge", "histogram"))


# One per flag --collector.NAME; the first and the last cannot be disabled.
COLLECTORS: Mapping[str, str] = {
    "executions": "executions by program; cannot be disabled",
    "processes": "exits, lifetimes and running processes by path",
    "arguments": "size of arguments and environments, and age of executed files",
    "forks": "started processes and threads",
    "failures": "failed executions by error",
    "traits": "executions with suspicious traits",
    "novelty": "programs executed for the first time on this host",
    "probe": "state and losses of the probe; cannot be disabled",
}
BASELINE_STATES = ("learning", "watching", "lost", "off")
MAPS = ("execs", "processes", "exits")

EXECUTIONS = _counter(
    "exec_executions_total",
    "Total number of program executions (successful execve and execveat calls).",
    path=ANY,
    interpreter=ANY,
    stdin_type=STDIN_TYPES.values(),
)
EXITS = _counter(
    "exec_exits_total",
    "Total number of ended processes, by the program they executed last and how they ended: with exit status 0 or "
    "another, by a signal that dumps core by default (crash), or by another signal.",
    path=ANY,
    outcome=OUTCOMES,
)
LIFETIME = _histogram(
    "exec_lifetime_seconds",
    "Time from an execution to the end of its process.",
    "Is the program a command, a job or a service?",
    (bound / US_PER_SECOND for bound in bounds("lifetime")),
    path=ANY,
)
RUNNING = _gauge(
    "exec_running_processes",
    "Current number of processes, by the program they executed last; a forked child counts as its parent's program.",
    path=ANY,
)
ARGUMENTS = _histogram(
    "exec_arguments",
    "Number of arguments per execution.",
    "How long are command lines?",
    map(float, bounds("arguments")),
    format=FORMATS,
)
ARGUMENTS_BYTES = _histogram(
    "exec_arguments_bytes",
    "Size of the arguments per execution.",
    "Do arguments approach the limits, 128 KiB for one and usually 2 MiB for all?",
    map(float, bounds("arguments_bytes")),
    format=FORMATS,
)
ENVIRONMENT_BYTES = _histogram(
    "exec_environment_bytes",
    "Size of the environment per execution.",
    "Is the environment of ordinary size, 1 to 4 KiB, or near the limits?",
    map(float, bounds("environment_bytes")),
    format=FORMATS,
)
BINARY_AGE = _histogram(
    "exec_binary_age_seconds",
    "Time from the last change of a program's file (ctime) to its execution; without files whose ctime lies ahead.",
    "Was the file changed in the last seconds, hours, days or months?",
    (bound / MS_PER_SECOND for bound in bounds("binary_age")),
    format=FORMATS,
)
FORKS = _counter(
    "exec_forks_total",
    "Total number of processes and threads started by fork, vfork or clone; a kernel thread counts as a process.",
    task=("process", "thread"),
)
FAILURES = _counter(
    "exec_failures_total", "Total number of failed execve and execveat calls, by error.", error=(*ERRORS, "other")
)
TRAITS_SEEN = _counter(
    "exec_traits_total", "Total number of executions with a trait; an execution can have several.", trait=TRAITS
)
TRAIT_LAST_SEEN = _gauge(
    "exec_trait_last_seen_timestamp_seconds",
    "Unix time of a program's last execution with a trait; the 100 most recent are exposed.",
    trait=TRAITS,
    path=ANY,
    interpreter=ANY,
    stdin_type=STDIN_TYPES.values(),
)
NOVEL = _counter(
    "exec_novel_binaries_total",
    "Total number of files executed for the first time on this host, by reason.",
    reason=Reason,
)
NOVEL_FIRST_SEEN = _gauge(
    "exec_novel_binary_first_seen_timestamp_seconds",
    "Unix time of the first execution of an open finding; the newest --findings.series are exposed.",
    id=ANY,
    reason=[reason for reason in Reason if reason not in QUIET],
    path=ANY,
    interpreter=ANY,
)
FINDINGS_OPEN = _gauge("exec_exporter_findings_open", "Current number of findings that are not accepted.")
BASELINE_STATE = _gauge(
    "exec_exporter_baseline_state",
    "State of the novelty baseline; 1 for the current state, 0 for the others.",
    state=BASELINE_STATES,
)
LEARNING_END = _gauge(
    "exec_exporter_learning_end_timestamp_seconds",
    "Unix time at which learning ended, or will end if the exporter keeps running; 0 if novelty detection is off.",
)
CATALOGUE_PROGRAMS = _gauge("exec_exporter_catalogue_programs", "Current number of programs in the catalogue.")
CATALOGUE_EVICTIONS = _counter(
    "exec_exporter_catalogue_evictions_total",
    "Total number of programs and findings evicted from the catalogue because of --catalogue.max-entries.",
)
CATALOGUE_ERRORS = _counter(
    "exec_exporter_catalogue_errors_total", "Total number of failed reads and writes of the catalogue."
)
NOVELTY_DEFERRED = _counter(
    "exec_exporter_novelty_deferred_total",
    "Total number of introductions deferred because the novelty queue was full; "
    "their programs are checked later, without the details of the first execution.",
)
PROBE_RUNS = _counter("exec_exporter_probe_runs_total", "Total number of executions seen by the probe.")
LOST = _counter(
    "exec_exporter_executions_lost_total",
    "Total number of executions that the probe saw but could not count, by cause.",
    cause=LOSS_CAUSES,
)
FOLDED = _counter(
    "exec_exporter_executions_folded_total",
    'Total number of executions counted as path="other" because the series limit was reached.',
)
EXPIRED = _counter(
    "exec_exporter_executions_expired_total",
    "Total number of executions counted in series that were removed because they were idle.",
)
EXITS_LOST = _counter(
    "exec_exporter_exits_lost_total",
    "Total number of exits not counted because the exits map was full or the kernel did not report them.",
)
PROCESSES_UNTRACKED = _counter(
    "exec_exporter_processes_untracked_total",
    "Total number of times a process could not be tracked because the processes map was full "
    "or the kernel did not report it.",
)
DEFERRED = _counter(
    "exec_exporter_introductions_deferred_total",
    "Total number of times the ring buffer was full and a new program's introduction was deferred to its next "
    "execution.",
)
UNDECODABLE = _counter(
    "exec_exporter_introductions_undecodable_total", "Total number of records from the probe that could not be decoded."
)
MAP_ENTRIES = _gauge("exec_exporter_map_entries", "Current number of entries in a BPF map of the probe.", map=MAPS)
MAP_CAPACITY = _gauge("exec_exporter_map_capacity", "Maximum number of entries in a BPF map of the probe.", map=MAPS)
SERIES = _gauge(
    "exec_exporter_series", 'Current number of label sets of all metrics with a path label, without path="other".'
)
SERIES_LIMIT = _gauge("exec_exporter_series_limit", "Maximum number of label sets of all metrics with a path label.")
PROBE_ATTACHED = _gauge(
    "exec_exporter_probe_attached",
    "Whether the probe is attached to the kernel and counts (1) or not (0); verified at each scrape.",
)
PROBE_REPAIRS = _counter(
    "exec_exporter_probe_repairs_total",
    "Total number of pinned objects that others changed and the exporter restored: slots without the probe's program, "
    "which count nothing meanwhile, and removed pins.",
    object=OBJECTS,
)
PINNED = _gauge(
    "exec_exporter_pinned",
    "Whether the probe is pinned and keeps counting while the exporter is down (1), or ends with the exporter (0).",
)
PROBE_RUN_SECONDS = _counter(
    "exec_exporter_probe_run_seconds_total",
    "Total time spent in a program of the probe; measured by the kernel only while kernel.bpf_stats_enabled=1.",
    program=("exec", "exit", "fork"),
)
PROBE_INFO = _gauge(
    "exec_exporter_probe_info",
    "BPF program type of the probe (tp_btf costs less) and the hook that captures scripts; always 1.",
    program_type=PROGRAM_TYPES,
    script_hook=(*script_hook.KINDS, "none"),
)
FIELD_AVAILABLE = _gauge(
    "exec_exporter_field_available",
    "Whether this kernel provides an argument of the sched_process_exec event (1) or not (0).",
    field=FIELDS,
)
COLLECTOR_SUCCESS = _gauge(
    "exec_exporter_collector_success",
    "Whether a collector succeeded (1) or failed (0) in this scrape.",
    collector=COLLECTORS,
)
COLLECTOR_DURATION = _gauge(
    "exec_exporter_collector_duration_seconds", "Duration of a collector in this scrape.", collector=COLLECTORS
)
CONFIG_RELOADED = _gauge(
    "exec_exporter_config_last_reload_successful",
    "Whether the last load of a configuration file succeeded (1) or its last good version stays in force (0).",
    file=("config.file", "web.config.file", "findings.accepted-file"),
)
# Those of the client library; not written to --textfile.
PROCESS = (
    _counter("process_cpu_seconds_total", "Total user and system CPU time spent in seconds."),
    _gauge("process_max_fds", "Maximum number of open file descriptors."),
    _gauge("process_open_fds", "Number of open file descriptors."),
    _gauge("process_resident_memory_bytes", "Resident memory size in bytes."),
    _gauge("process_start_time_seconds", "Start time of the process since unix epoch in seconds."),
    _gauge("process_virtual_memory_bytes", "Virtual memory size in bytes."),
)
BUILD_INFO = _gauge(
    "exec_exporter_build_info",
    "Versions of the exporter, Python and BCC; always 1.",
    version=ANY,
    python_version=ANY,
    bcc_version=ANY,
)

# In the order of the definitions, which is the order of the documentation.
METRICS = (*(value for value in tuple(globals().values()) if isinstance(value, Metric)), *PROCESS)
