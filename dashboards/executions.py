"""The dashboard of executions: what runs, how often, how it ends."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.board import board as new_board
from dashboards.board import increase, rate, selected
from dashboards.panels import ROWS, bars, graph, heat, number, query, rows


def most(metric: str, label: str) -> str:
    """Rates by a label, of those values that counted most in all of the time that is shown."""
    whole = increase(metric, at=" @ end()")
    return f"sum by ({label}) ({rate(metric)}) and topk({ROWS}, sum by ({label}) ({whole}))"


def board(runbooks: str) -> Dashboard:
    """The dashboard, with links to where the runbooks are."""
    exits, failures = "exec_exits_total", "exec_failures_total"
    succeeded, killed, others = rate(exits, 'outcome="success"'), rate(exits, 'outcome="signal"'), 'error!="ENOENT"'
    nameless = 'label_replace({}, "interpreter", "(none: static)", "interpreter", "")'
    running = selected("exec_running_processes")
    return new_board(
        "exec-executions",
        "Executions",
        "What is executed, how often, and how it ends.",
        runbooks,
        [
            number(
                "How much is executed?",
                "Successful calls of execve and execveat.",
                f"sum({rate('exec_executions_total')})",
                "ops",
            ),
            number(
                "How many different programs?",
                'Paths since the exporters started; all that came after the limit of series are one, "other".',
                f"count(count by (path) ({selected('exec_executions_total')}))",
                "short",
                decimals=0,
            ),
            number(
                "How many processes run?",
                "Processes alive now.",
                f"sum({running})",
                "short",
                decimals=0,
            ),
            number(
                "What share fails?",
                "Of the processes that ended: exit status other than 0, or killed by a signal.",
                f"1 - sum({succeeded}) / sum({rate(exits)})",
                "percentunit",
            ),
            number(
                "How many are killed?",
                "Processes that a signal ended.",
                f"sum({killed})",
                "ops",
            ),
            number(
                "How often does execve fail?",
                "Without ENOENT, which is how programs are looked for along PATH.",
                f"sum({rate(failures, others)}) or 0 * sum({rate(failures)})",
                "ops",
            ),
            graph(
                "Which programs are executed most?",
                "The eight paths with the most executions in the time that is shown.",
                [query(most("exec_executions_total", "path"), "{{path}}")],
                "ops",
                width=12,
                beside=True,
            ),
            graph(
                "Which interpreters do they need?",
                "The #! interpreter of scripts, the ELF loader of dynamic programs; static programs need none.",
                [query(nameless.format(most("exec_executions_total", "interpreter")), "{{interpreter}}")],
                "ops",
                width=12,
                beside=True,
            ),
            graph(
                "What is on their standard input?",
                "The type of file descriptor 0.",
                [query(most("exec_executions_total", "stdin_type"), "{{stdin_type}}")],
                "ops",
                stacked=True,
            ),
            graph(
                "How do processes end?",
                "By exit status 0 (success), another one (failure), or a signal.",
                [query(f"sum by (outcome) ({rate(exits)})", "{{outcome}}")],
                "ops",
                stacked=True,
            ),
            graph(
                "How much is forked?",
                "New processes, and new threads of processes.",
                [query(f"sum by (task) ({rate('exec_forks_total')})", "{{task}}")],
                "ops",
            ),
            rows(
                "What was executed most, from what?",
                "In the time that is shown. A first execution does not count: its series began with it.",
                f"topk(50, sum by (path, interpreter, stdin_type) ({increase('exec_executions_total')}) > 0)",
                {"path": "Path", "interpreter": "Interpreter", "stdin_type": "Standard input"},
                "Executions",
                "locale",
                width=16,
                height=9,
            ),
            bars(
                "Why does execve fail?",
                "By error, in the time that is shown. ENOENT is also how programs are looked for along PATH.",
                f"sort_desc(topk({ROWS}, sum by (error) ({increase(failures)})))",
                "{{error}}",
                "short",
                height=9,
            ),
            heat(
                "How long do programs live?",
                "From exec to exit, of processes that ended at that time.",
                rate("exec_lifetime_seconds_bucket"),
                "s",
            ),
            heat(
                "How old are the files that are executed?",
                "Since the last change of the file. What is young was just built, installed or dropped.",
                rate("exec_binary_age_seconds_bucket"),
                "s",
            ),
            graph(
                "How many arguments do programs get?",
                "Of 99 % of the executions no more, by format of the program.",
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
                "Processes alive, by the program that they last executed: the eight with the most at the end.",
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
                "Of 99 % of the executions no more. Limits: 128 KiB for one argument, usually 2 MiB for all.",
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
