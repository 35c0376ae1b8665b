"""The dashboard of the exporter itself: whether it counts everything, and what that costs."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.board import board as new_board
from dashboards.board import increase, rate, selected
from dashboards.panels import graph, number, query, rows, states

STATISTICS = "needs kernel.bpf_stats_enabled=1"


def board(runbooks: str) -> Dashboard:
    """The dashboard, with links to where the runbooks are."""
    run_seconds = "exec_exporter_probe_run_seconds_total"
    runs = rate("exec_exporter_probe_runs_total")
    entries, capacity = selected("exec_exporter_map_entries"), selected("exec_exporter_map_capacity")
    return new_board(
        "exec-exporter",
        "Exporter health",
        "Whether exec_exporter counts everything, and what that costs.",
        runbooks,
        [
            number(
                "How many are not scraped?",
                "Targets of the job that do not answer.",
                f"count({selected('up')}) - sum({selected('up')})",
                "short",
                bad=1,
                decimals=0,
                runbook=f"{runbooks}/ExecExporterDown.md",
            ),
            number(
                "How many see nothing?",
                "Exporters whose probe is not attached.",
                f"count({selected('exec_exporter_probe_attached')}) - sum({selected('exec_exporter_probe_attached')})",
                "short",
                bad=1,
                decimals=0,
                runbook=f"{runbooks}/ExecExporterProbeDetached.md",
            ),
            number(
                "What was lost?",
                "Executions, in the time that is shown, that the probe has seen and could not count.",
                f"sum({increase('exec_exporter_executions_lost_total')})",
                "short",
                bad=1,
                decimals=0,
                instant=True,
                runbook=f"{runbooks}/ExecExporterExecutionsLost.md",
            ),
            number(
                "What does one execution cost?",
                "Time in the probe's programs. The kernel measures it while kernel.bpf_stats_enabled is 1.",
                f"sum({rate(run_seconds)}) / sum({runs})",
                "s",
                text=STATISTICS,
            ),
            number(
                "How much of a core is that?",
                "The mean over the instances, of one core of theirs.",
                f"avg(sum by (cluster, job, instance) ({rate(run_seconds)}))",
                "percentunit",
                text=STATISTICS,
            ),
            number(
                "How long does a scrape take?",
                "The slowest instance, as Prometheus measures it.",
                f"max({selected('scrape_duration_seconds')})",
                "s",
                bad=5,
                runbook=f"{runbooks}/ExecExporterScrapeSlow.md",
            ),
            graph(
                "What does an execution cost, by program?",
                "Time in each of the probe's programs, divided by the number of executions.",
                [query(f"sum by (program) ({rate(run_seconds)}) / on () group_left () sum({runs})", "{{program}}")],
                "s",
                text=STATISTICS,
            ),
            graph(
                "Is anything lost, and why?",
                "Executions by cause, exits, and processes that are not followed: zero is what it should be.",
                [
                    query(f"sum by (cause) ({rate('exec_exporter_executions_lost_total')})", "{{cause}}"),
                    query(f"sum({rate('exec_exporter_exits_lost_total')})", "exits"),
                    query(f"sum({rate('exec_exporter_processes_untracked_total')})", "processes not followed"),
                ],
                "ops",
            ),
            graph(
                "How full are the maps?",
                "The fullest of all instances. What comes when one is full is lost.",
                [
                    query(
                        f"max by (map) ({entries} / {capacity})",
                        "{{map}}",
                    )
                ],
                "percentunit",
                maximum=1,
                runbook=f"{runbooks}/ExecExporterMapNearlyFull.md",
            ),
            graph(
                "How near is the limit of series?",
                "The instance with the most series, against its limit.",
                [
                    query(f"max({selected('exec_exporter_series')})", "series"),
                    query(f"min({selected('exec_exporter_series_limit')})", "limit"),
                ],
                "short",
                runbook=f"{runbooks}/ExecExporterSeriesLimitReached.md",
            ),
            graph(
                "What is not shown by its name?",
                'Executions in path="other", or of expired series; names that have to wait, or make no sense.',
                [
                    query(f"sum({rate('exec_exporter_executions_folded_total')})", "folded"),
                    query(f"sum({rate('exec_exporter_executions_expired_total')})", "expired"),
                    query(f"sum({rate('exec_exporter_introductions_deferred_total')})", "deferred"),
                    query(f"sum({rate('exec_exporter_introductions_undecodable_total')})", "undecodable"),
                ],
                "ops",
            ),
            graph(
                "Which collector takes the time of a scrape?",
                "The slowest instance, by collector.",
                [
                    query(
                        f"max by (collector) ({selected('exec_exporter_collector_duration_seconds')})", "{{collector}}"
                    )
                ],
                "s",
            ),
            states(
                "Do all collectors succeed?",
                "Whether each did, on every instance.",
                f"min by (collector) ({selected('exec_exporter_collector_success')})",
                "{{collector}}",
                {1: ("success", "green"), 0: ("failure", "red")},
            ),
            rows(
                "What does the kernel not show?",
                "Arguments of the event; one that any instance lacks is marked so.",
                f"min by (field) ({selected('exec_exporter_field_available')})",
                {"field": "Field"},
                "Kernel",
                "none",
                width=8,
                descending=False,
                mapped={1: ("shows it", "green"), 0: ("lacks it", "red")},
            ),
            rows(
                "Which versions run?",
                "One row for each combination of versions.",
                f"count by (version, python_version, bcc_version) ({selected('exec_exporter_build_info')})",
                {"version": "exec_exporter", "python_version": "Python", "bcc_version": "BCC"},
                "Instances",
                "short",
                width=8,
            ),
        ],
    )
