"""The dashboard "Executions": programs, rates, outcomes."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.board import board as new_board
from dashboards.board import increase, rate, selected
from dashboards.panels import ROWS, bars, graph, heat, number, query, rows


def most(metric: str, label: str) -> str:
    """Return rates by a label, for the values with the highest increase over the displayed time range."""
    whole = increase(metric, at=" @ end()")
    return f"sum by ({label}) ({rate(metric)}) and topk({ROWS}, sum by ({label}) ({whole}))"


def board(runbooks: str) -> Dashboard:
    """Return the dashboard, with links to the runbooks."""
    exits, failures = "exec_exits_total", "exec_failures_total"
    succeeded, crashed, others = rate(exits, 'outcome="success"'), rate(exits, 'outcome="crash"'), 'error!="ENOENT"'
    nameless = 'label_replace({}, "interpreter", "(none: static)", "interpreter", "")'
    running = selected("exec_running_processes")
    return new_board(
        "exec-executions",
        "Executions",
        "Executed programs, their rates and how their processes end.",
        runbooks,
        [
            number(
                "How much is executed?",
                "Successful execve and execveat calls.",
                f"sum({rate('exec_executions_total')})",
                "ops",
            ),
            number(
                "How many different programs?",
                'Paths since the exporters started. Paths beyond the series limit count as one, "other".',
                f"count(count by (path) ({selected('exec_executions_total')}))",
                "short",
                decimals=0,
            ),
            number(
                "How many processes run?",
                "Current number of processes.",
                f"sum({running})",
                "short",
                decimals=0,
            ),
            number(
                "What share fails?",
                "Share of ended processes with a non-zero exit status or killed by a signal.",
                f"1 - sum({succeeded}) / sum({rate(exits)})",
                "percentunit",
            ),
            number(
                "How many crash?",
                "Processes ended by a signal that dumps core by default, such as SIGSEGV and SIGABRT.",
                f"sum({crashed})",
                "ops",
            ),
            number(
                "How often does execve fail?",
                "Failed calls without ENOENT, which every search along PATH produces.",
                f"sum({rate(failures, others)}) or 0 * sum({rate(failures)})",
                "ops",
            ),
            graph(
                "Which programs are executed most?",
                "The eight paths with the most executions in the displayed time range.",
                [query(most("exec_executions_total", "path"), "{{path}}")],
                "ops",
                width=12,
                beside=True,
            ),
            graph(
                "Which interpreters do programs need?",
                "The #! interpreter of scripts, or the ELF loader of dynamic programs. Static programs have none.",
                [query(nameless.format(most("exec_executions_total", "interpreter")), "{{interpreter}}")],
                "ops",
                width=12,
                beside=True,
            ),
            graph(
                "What is standard input connected to?",
                "The type of file descriptor 0.",
                [query(most("exec_executions_total", "stdin_type"), "{{stdin_type}}")],
                "ops",
                stacked=True,
            ),
            graph(
                "How do processes end?",
                "With exit status 0 (success), another (failure), by a signal that dumps core (crash) or another one.",
                [query(f"sum by (outcome) ({rate(exits)})", "{{outcome}}")],
                "ops",
                stacked=True,
            ),
            graph(
                "How much is forked?",
                "Started processes and threads.",
                [query(f"sum by (task) ({rate('exec_forks_total')})", "{{task}}")],
                "ops",
            ),
            rows(
                "What was executed most?",
                "In the displayed time range. The first execution starts the series and is not counted.",
                f"topk(50, sum by (path, interpreter, stdin_type) ({increase('exec_executions_total')}) > 0)",
                {"path": "Path", "interpreter": "Interpreter", "stdin_type": "Standard input"},
                "Executions",
                "locale",
                width=16,
                height=9,
            ),
            bars(
                "Why does execve fail?",
                "By error, in the displayed time range. Every search along PATH produces ENOENT.",
                f"sort_desc(topk({ROWS}, sum by (error) ({increase(failures)})))",
                "{{error}}",
                "short",
                height=9,
            ),
            heat(
                "How long do programs live?",
                "Time from execution to exit of the processes that ended at that time.",
                rate("exec_lifetime_seconds_bucket"),
                "s",
            ),
            heat(
                "How old are the files that are executed?",
                "Time since the last change of the file. Young files were just built, installed or dropped.",
                rate("exec_binary_age_seconds_bucket"),
                "s",
            ),
            graph(
                "How many arguments do programs get?",
                "99th percentile by format of the program.",
                [
                    query(
                        f"histogram_quantile(0.99, sum by (le, format) ({rate('exec_arguments_bucket')}))",
                        "{{format}}",
                    )
                ],
                "short",
            ),
            graph(
                "Which programs have the most processes?",
                "Current processes by the program they executed last: the eight programs with the most at the end.",
                [
                    query(
                        f"sum by (path) ({running}) and topk({ROWS}, sum by (path) ({running} @ end()))",
                        "{{path}}",
                    )
                ],
                "short",
                width=12,
                beside=True,
            ),
            graph(
                "How large are arguments and environments?",
                "99th percentile. Limits: 128 KiB for one argument, usually 2 MiB for all.",
                [
                    query(f"histogram_quantile(0.99, sum by (le) ({rate(metric + '_bucket')}))", name)
                    for metric, name in (
                        ("exec_arguments_bytes", "arguments"),
                        ("exec_environment_bytes", "environment"),
                    )
                ],
                "bytes",
                width=12,
            ),
        ],
    )
