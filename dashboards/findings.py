"""The dashboard of findings: what has never been executed before, and what is executed in a suspicious way."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.board import board as new_board
from dashboards.board import increase, rate, selected
from dashboards.panels import graph, number, query, rows, states

FIRST_SEEN = "exec_novel_binary_first_seen_timestamp_seconds"
LAST_SEEN = "exec_trait_last_seen_timestamp_seconds"
STATES = {1: ("learning", "blue"), 2: ("watching", "green"), 3: ("lost", "red"), 4: ("off", "text")}


def baseline_state() -> str:
    """The number of the state that an instance is in."""
    matchers = {number: f'state="{state}"' for number, (state, _) in STATES.items()}
    numbered = " or ".join(
        f"({number} * {selected('exec_exporter_baseline_state', matcher)})" for number, matcher in matchers.items()
    )
    return f"sum by (cluster, job, instance) ({numbered})"


def board(runbooks: str) -> Dashboard:
    """The dashboard, with links to where the runbooks are."""
    how_to = ("How to look into it", f"{runbooks}/ExecNovelBinary.md")
    fileless = selected(FIRST_SEEN, 'reason=~"memfd|deleted"')
    watching, learning = (
        selected("exec_exporter_baseline_state", matcher) for matcher in ('state="watching"', 'state="learning"')
    )
    return new_board(
        "exec-findings",
        "Novel binaries and traits",
        "What has never been executed before, and what is executed in a suspicious way.",
        runbooks,
        [
            number(
                "How many findings are open?",
                "Programs that were new where they were executed, and have not been accepted.",
                f"count({selected(FIRST_SEEN)}) or vector(0)",
                "short",
                bad=1,
                decimals=0,
            ),
            number(
                "Without a file?",
                "Open findings of programs that were executed from memory, or after they were deleted.",
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
                "Where what is new is told.",
                f"sum({watching})",
                "short",
                decimals=0,
            ),
            number(
                "How many still learn?",
                "Where all is new, and only memfd, deleted files and setuid in writable directories are told.",
                f"sum({learning})",
                "short",
                decimals=0,
            ),
            number(
                "When has the last one learnt?",
                "The latest end of learning of all instances.",
                f"1000 * max({selected('exec_exporter_learning_end_timestamp_seconds')})",
                "dateTimeAsIso",
                instant=True,
            ),
            rows(
                "What is new, and not accepted?",
                "On the instance, exec_exporter findings show ID says more, and findings accept ID ends one.",
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
                "Instances with the same finding: its id is made of content and path. A deployment is on many.",
                f"count by (id, path, reason) ({selected(FIRST_SEEN)})",
                {"path": "Path", "reason": "Reason", "id": "ID"},
                "Instances",
                "short",
                descending=False,
                text="no open findings",
            ),
            rows(
                "What was executed in a suspicious way?",
                "The newest executions with a trait, known or not.",
                f"1000 * {selected(LAST_SEEN)}",
                {"trait": "Trait", "path": "Path", "stdin_type": "Standard input", "instance": "Instance"},
                "Last",
                "dateTimeAsIso",
                text="no traits seen",
            ),
            graph(
                "What is found, and why?",
                "In the hour before, by reason; what is reinstalled is counted, though it is no news.",
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
                "Executions by trait; one may have several.",
                [query(f"sum by (trait) ({rate('exec_traits_total')})", "{{trait}}")],
                "ops",
                height=9,
                width=12,
                beside=True,
            ),
            states(
                "Do the instances know what is usual?",
                "The state of each baseline. What lost its catalogue learns again.",
                f"topk(20, {baseline_state()})",
                "{{instance}}",
                STATES,
                width=16,
                height=7,
            ),
            rows(
                "What did the time that is shown bring?",
                "Findings by reason, as they were counted.",
                f"sum by (reason) ({increase('exec_novel_binaries_total')})",
                {"reason": "Reason"},
                "Findings",
                "locale",
                height=7,
                width=8,
            ),
        ],
    )
