"""The dashboard "Exporter health": losses, limits and cost."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.board import board as new_board
from dashboards.board import increase, rate, selected
from dashboards.panels import graph, number, query, rows, states

STATISTICS = "requires kernel.bpf_stats_enabled=1"


def board(runbooks: str) -> Dashboard:
    """Return the dashboard, with links to the runbooks."""
    run_seconds = "exec_exporter_probe_run_seconds_total"
    runs = rate("exec_exporter_probe_runs_total")
    entries, capacity = selected("exec_exporter_map_entries"), selected("exec_exporter_map_capacity")
    return new_board(
        "exec-exporter",
        "Exporter health",
        "Losses, limits and cost of exec_exporter.",
        runbooks,
        [
            number(
                "How many targets are down?",
                "Targets of the job that Prometheus cannot scrape.",
                f"count({selected('up')}) - sum({selected('up')})",
                "short",
                bad=1,
                decimals=0,
                runbook=f"{runbooks}/ExecExporterDown.md",
            ),
            number(
                "How many probes are detached?",
                "Exporters whose probe is not attached to the kernel.",
                f"count({selected('exec_exporter_probe_attached')}) - sum({selected('exec_exporter_probe_attached')})",
                "short",
                bad=1,
                decimals=0,
                runbook=f"{runbooks}/ExecExporterProbeDetached.md",
            ),
            number(
                "How many executions were lost?",
                "Executions in the displayed time range that the probe saw but could not count.",
                f"sum({increase('exec_exporter_executions_lost_total')})",
                "short",
                bad=1,
                decimals=0,
                instant=True,
                runbook=f"{runbooks}/ExecExporterExecutionsLost.md",
            ),
            number(
                "What does one execution cost?",
                "Time in the programs of the probe, measured by the kernel while kernel.bpf_stats_enabled is 1.",
                f"sum({rate(run_seconds)}) / sum({runs})",
                "s",
                text=STATISTICS,
            ),
            number(
                "How much of a core is that?",
                "Mean over all instances, as a share of one core.",
                f"avg(sum by (cluster, job, instance) ({rate(run_seconds)}))",
                "percentunit",
                text=STATISTICS,
            ),
            number(
                "How long does a scrape take?",
                "The slowest instance, measured by Prometheus.",
                f"max({selected('scrape_duration_seconds')})",
                "s",
                bad=5,
                runbook=f"{runbooks}/ExecExporterScrapeSlow.md",
            ),
            graph(
                "What does an execution cost, by program?",
                "Time in each program of the probe per execution.",
                [query(f"sum by (program) ({rate(run_seconds)}) / on () group_left () sum({runs})", "{{program}}")],
                "s",
                text=STATISTICS,
            ),
            graph(
                "Is anything lost, and why?",
                "Lost executions by cause, lost exits and untracked processes. All should be zero.",
                [
                    query(f"sum by (cause) ({rate('exec_exporter_executions_lost_total')})", "{{cause}}"),
                    query(f"sum({rate('exec_exporter_exits_lost_total')})", "exits"),
                    query(f"sum({rate('exec_exporter_processes_untracked_total')})", "untracked processes"),
                ],
                "ops",
            ),
            graph(
                "How full are the maps?",
                "The fullest map of all instances. New entries of a full map are lost.",
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
                "How close is the series limit?",
                "The highest number of series and the lowest limit of all instances.",
                [
                    query(f"max({selected('exec_exporter_series')})", "series"),
                    query(f"min({selected('exec_exporter_series_limit')})", "limit"),
                ],
                "short",
                runbook=f"{runbooks}/ExecExporterSeriesLimitReached.md",
            ),
            graph(
                "What is not shown by name?",
                'Executions in path="other" or in expired series; introductions that were deferred or undecodable.',
                [
                    query(f"sum({rate('exec_exporter_executions_folded_total')})", "folded"),
                    query(f"sum({rate('exec_exporter_executions_expired_total')})", "expired"),
                    query(f"sum({rate('exec_exporter_introductions_deferred_total')})", "deferred"),
                    query(f"sum({rate('exec_exporter_introductions_undecodable_total')})", "undecodable"),
                ],
                "ops",
            ),
            graph(
                "Which collector is slow?",
                "Duration on the slowest instance, by collector.",
                [
                    query(
                        f"max by (collector) ({selected('exec_exporter_collector_duration_seconds')})", "{{collector}}"
                    )
                ],
                "s",
            ),
            states(
                "Do all collectors succeed?",
                "Success on all instances, or failure on at least one.",
                f"min by (collector) ({selected('exec_exporter_collector_success')})",
                "{{collector}}",
                {1: ("success", "green"), 0: ("failure", "red")},
            ),
            rows(
                "Which fields do kernels lack?",
                "Arguments of the sched_process_exec event; red if at least one instance lacks the field.",
                f"min by (field) ({selected('exec_exporter_field_available')})",
                {"field": "Field"},
                "Kernel",
                "none",
                width=8,
                descending=False,
                mapped={1: ("available", "green"), 0: ("missing", "red")},
            ),
            rows(
                "Which versions run?",
                "One row per combination of versions.",
                f"count by (version, python_version, bcc_version) ({selected('exec_exporter_build_info')})",
                {"version": "exec_exporter", "python_version": "Python", "bcc_version": "BCC"},
                "Instances",
                "short",
                width=8,
            ),
        ],
    )
