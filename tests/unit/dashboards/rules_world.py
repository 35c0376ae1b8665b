"""Series of an ordinary instance as input of promtool, and events that change them after some hours.

Times are in minutes since promtool's epoch. A series is a list with one entry per minute: a value, None where the
series is missing from a scrape, or GAP where no scrape happened.
"""

import json
import subprocess
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[3]
RULES = sorted((ROOT / "dashboards/rules").glob("*.yaml"))
_RULES = [
    rule for file in RULES for group in yaml.safe_load(file.read_text("utf-8"))["groups"] for rule in group["rules"]
]
ALERTS = [rule for rule in _RULES if "alert" in rule]
RECORDS = [rule for rule in _RULES if "record" in rule]
PROMTOOL = ROOT / ".cache/promtool"
GAP = "_"

EVENT = 6 * 60 + 40
END = EVENT + 100
REASONS = (
    *("new_path", "content_changed", "reinstalled", "relocated", "metadata_only"),
    *("memfd", "deleted", "upper_layer", "script", "temporary"),
)
TRAITS = (
    *(
        "memfd",
        "deleted",
        "container_upper_layer",
        "world_writable_directory",
        "world_writable_directory_as_root",
        "setuid",
        "kernel_invoked",
    ),
    *("loader_direct", "shell_socket_stdin", "fresh_binary", "preload", "path_truncated"),
)
STATES = ("learning", "watching", "lost", "off")
LOADER = "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"
PROGRAMS = {"/usr/bin/grep": 200, "/usr/bin/dash": 90, "/usr/sbin/cron": 10}  # executions per minute
RUNS = sum(PROGRAMS.values())


def ramp(per_minute, begin=0, start=0):
    """Return a counter that begins with `start` at `begin`."""
    return [None if minute < begin else start + per_minute * (minute - begin) for minute in range(END + 1)]


def level(value, begin=0):
    return ramp(0, begin, value)


class Instance:
    """The series of one instance by name and labels."""

    def __init__(self, name, job="exec"):
        self.labels = {"job": job, "instance": name}
        self.series = {}

    def set(self, metric, values, **labels):
        self.series[metric, tuple(sorted(labels.items()))] = values

    def add(self, metric, amount, begin, end, **labels):
        """Increase a counter by `amount`, evenly from `begin` to `end`."""
        key = metric, tuple(sorted(labels.items()))
        for minute in range(begin, END + 1):
            if self.series[key][minute] is not None:
                self.series[key][minute] += amount * min((minute - begin) / max(end - begin, 1), 1)

    def down(self, begin, end):
        """Let scrapes fail from `begin` until before `end`."""
        self._blank(begin, end, None)
        self.series["up", ()][begin:end] = [0] * (end - begin)

    def not_scraped(self, begin, end):
        """Let no scrape happen from `begin` until before `end`: Prometheus is down."""
        self._blank(begin, end, GAP)

    def _blank(self, begin, end, blank):
        for values in self.series.values():
            values[begin:end] = [blank] * (end - begin)

    def restart(self, at):
        """Reset all counters at `at`; the next scrape shows the counts of one minute."""
        for (metric, _), values in self.series.items():
            if metric.startswith("exec_trait_last_seen"):
                values[at:] = [None] * len(values[at:])
            elif metric.endswith("_total") and values[at] is not None:
                base = values[at] - (values[at + 1] - values[at])
                values[at:] = [value - base for value in values[at:]]

    def input_series(self):
        for (metric, labels), values in self.series.items():
            pairs = ",".join(f"{name}={json.dumps(value)}" for name, value in {**self.labels, **dict(labels)}.items())
            yield {"series": f"{metric}{{{pairs}}}", "values": " ".join(_notation(values))}


def _notation(values):
    """Yield values in the notation of promtool; a series that ends is marked as stale."""
    before = None
    for value in values:
        if value == GAP:
            yield "_"
            continue
        yield f"{value:.8g}" if value is not None else "_" if before is None else "stale"
        before = value


def ordinary(name, begin=0, job="exec"):
    """Return an instance that has been watching for a long time or, with `begin`, started then and is learning."""
    instance = Instance(name, job)
    instance.set("up", level(1, begin))
    instance.set("scrape_duration_seconds", level(0.04, begin))
    instance.set("exec_exporter_probe_attached", level(1, begin))
    instance.set("exec_exporter_probe_runs_total", ramp(RUNS, begin))
    for path, rate in PROGRAMS.items():
        labels = {"path": path, "interpreter": LOADER, "stdin_type": "pipe"}
        instance.set("exec_executions_total", ramp(rate, begin, 1), **labels)
        for outcome, share in {"success": 0.9, "failure": 0.085, "signal": 0.01, "crash": 0.005}.items():
            instance.set("exec_exits_total", ramp(rate * share, begin, 1), path=path, outcome=outcome)
    for error, rate in {"ENOENT": 400, "EACCES": 0.2}.items():
        instance.set("exec_failures_total", ramp(rate, begin, 1), error=error)
    for reason in REASONS:
        instance.set("exec_novel_binaries_total", level(0, begin), reason=reason)
    for trait in TRAITS:
        instance.set("exec_traits_total", level(0, begin), trait=trait)
    for state in STATES:
        is_in = state == ("learning" if begin else "watching")
        instance.set("exec_exporter_baseline_state", level(int(is_in), begin), state=state)
    end = 60 * (begin + 24 * 60 if begin else 1)
    rounded = [None if minute < begin else end + minute % 2 for minute in range(END + 1)]
    instance.set("exec_exporter_learning_end_timestamp_seconds", rounded)
    for cause in ("map_full", "no_memory", "map_busy"):
        instance.set("exec_exporter_executions_lost_total", level(0, begin), cause=cause)
    instance.set("exec_exporter_map_entries", level(900, begin), map="execs")
    instance.set("exec_exporter_map_capacity", level(32768, begin), map="execs")
    instance.set("exec_exporter_series", level(700, begin))
    instance.set("exec_exporter_series_limit", level(4000, begin))
    instance.set("exec_exporter_executions_folded_total", level(0, begin))
    instance.set("exec_exporter_findings_open", level(0, begin))
    instance.set("exec_exporter_catalogue_programs", level(900, begin))
    instance.set("exec_exporter_catalogue_errors_total", level(0, begin))
    for collector in ("executions", "novelty", "probe"):
        instance.set("exec_exporter_collector_success", level(1, begin), collector=collector)
    return instance


def evaluated(instances, expression, expected, at=END):
    """Return a test of an expression; `expected` maps labels to values."""
    samples = [
        {"labels": f"{{{','.join(f'{k}={json.dumps(v)}' for k, v in labels)}}}", "value": value}
        for labels, value in expected.items()
    ]
    return {
        "interval": "1m",
        "input_series": [series for instance in instances for series in instance.input_series()],
        "promql_expr_test": [{"expr": expression, "eval_time": f"{at}m", "exp_samples": samples}],
    }


def has_fired(instances, **alerts):
    """Return a test that exactly these alerts have fired in any evaluation, with this number of label sets each."""
    expression = 'count by (alertname) (last_over_time(ALERTS{alertstate="firing"}[1d]))'
    return evaluated(instances, expression, {(("alertname", name),): count for name, count in alerts.items()})


def promtool(tests, directory, rules=RULES):
    """Return the output of promtool for failing tests of the rules, or "" if all pass."""
    file = directory / "tests.yaml"
    content = {"rule_files": [str(rule) for rule in rules], "evaluation_interval": "1m", "tests": tests}
    file.write_text(json.dumps(content))
    result = subprocess.run([PROMTOOL, "test", "rules", file], capture_output=True, text=True, check=False)
    return (result.stdout + result.stderr) if result.returncode else ""
