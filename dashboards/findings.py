"""The dashboard "Novel binaries and traits": first executions and suspicious executions."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.board import board as new_board
from dashboards.board import increase, rate, selected
from dashboards.panels import graph, number, query, rows, states

FIRST_SEEN = "exec_novel_binary_first_seen_timestamp_seconds"
LAST_SEEN = "exec_trait_last_seen_timestamp_seconds"
STATES = {1: ("learning", "blue"), 2: ("watching", "green"), 3: ("lost", "red"), 4: ("off", "text")}


def baseline_state() -> str:
    """Return a query for the number of each instance's baseline state."""
    matchers = {number: f'state="{state}"' for number, (state, _) in STATES.items()}
    numbered = " or ".join(
        f"({number} * {selected('exec_exporter_baseline_state', matcher)})" for number, matcher in matchers.items()
    )
    return f"sum by (cluster, job, instance) ({numbered})"


def board(runbooks: str) -> Dashboard:
    """Return the dashboard, with links to the runbooks."""
    how_to = ("How to investigate", f"{runbooks}/ExecNovelBinary.md")
    fileless = selected(FIRST_SEEN, 'reason=~"memfd|deleted"')
    watching, learning = (
        selected("exec_exporter_baseline_state", matcher) for matcher in ('state="watching"', 'state="learning"')
    )
    return new_board(
        "exec-findings",
        "Novel binaries and traits",
        "Programs executed for the first time, and suspicious executions.",
        runbooks,
        [
            number(
                "How many findings are open?",
                "Programs that were novel on their instance and are not accepted.",
                f"count({selected(FIRST_SEEN)}) or vector(0)",
                "short",
                bad=1,
                decimals=0,
            ),
            number(
                "How many without a file?",
                "Open findings of programs executed from memory or from a deleted file.",
                f"count({fileless}) or vector(0)",
                "short",
                bad=1,
                decimals=0,
            ),
            number(
                "On how many instances?",
                "Instances with open findings.",
                f"count(count by (cluster, job, instance) ({selected(FIRST_SEEN)})) or vector(0)",
                "short",
                decimals=0,
            ),
            number(
                "How many instances watch?",
                "Instances that report novel programs.",
                f"sum({watching})",
                "short",
                decimals=0,
            ),
            number(
                "How many still learn?",
                "Instances that report only memfd, deleted files and setuid programs in world-writable directories.",
                f"sum({learning})",
                "short",
                decimals=0,
            ),
            number(
                "When does learning end?",
                "The latest end of learning of all instances.",
                f"1000 * max({selected('exec_exporter_learning_end_timestamp_seconds')})",
                "dateTimeAsIso",
                instant=True,
            ),
            rows(
                "Which findings are open?",
                "On the instance, exec_exporter findings show ID explains a finding, findings accept ID closes it.",
                f"1000 * {selected(FIRST_SEEN)}",
                {
                    "path": "Path",
                    "reason": "Reason",
                    "interpreter": "Interpreter",
                    "instance": "Instance",
                    "cluster": "Cluster",
                    "id": "ID",
                },
                "First seen",
                "dateTimeAsIso",
                width=24,
                height=9,
                links={"Reason": how_to},
                text="no open findings",
            ),
            rows(
                "Which findings are rare in the fleet?",
                "Instances with the same id, which is derived from content and path. A deployment reaches many.",
                f"count by (id, path, reason) ({selected(FIRST_SEEN)})",
                {"path": "Path", "reason": "Reason", "id": "ID"},
                "Instances",
                "short",
                descending=False,
                text="no open findings",
            ),
            rows(
                "What was executed in a suspicious way?",
                "The latest executions with a trait, of known and novel programs.",
                f"1000 * {selected(LAST_SEEN)}",
                {"trait": "Trait", "path": "Path", "stdin_type": "Standard input", "instance": "Instance"},
                "Last",
                "dateTimeAsIso",
                text="no traits seen",
            ),
            graph(
                "What was novel, and why?",
                "Novel files per hour by reason; reinstalled files are counted, but are not findings.",
                [
                    query(
                        f"sum by (reason) (increase({selected('exec_novel_binaries_total', over='1h')}))",
                        "{{reason}}",
                    )
                ],
                "short",
                height=9,
                width=12,
                stacked=True,
                beside=True,
            ),
            graph(
                "Which traits do executions have?",
                "Executions by trait; an execution can have several.",
                [query(f"sum by (trait) ({rate('exec_traits_total')})", "{{trait}}")],
                "ops",
                height=9,
                width=12,
                beside=True,
            ),
            states(
                "Is the baseline of each instance ready?",
                "State of the baseline. An instance that lost its catalogue learns again.",
                f"topk(20, {baseline_state()})",
                "{{instance}}",
                STATES,
                width=16,
                height=7,
            ),
            rows(
                "How many files were novel?",
                "Novel files by reason, in the displayed time range.",
                f"sum by (reason) ({increase('exec_novel_binaries_total')})",
                {"reason": "Reason"},
                "Files",
                "locale",
                height=7,
                width=8,
            ),
        ],
    )
