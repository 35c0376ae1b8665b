"""The alert and recording rules: promtool accepts them, each alert fires, and its texts are complete."""

import re
import subprocess
from itertools import chain
from pathlib import Path

import pytest
import yaml

from tests.unit.dashboards.promql import parse_query
from tests.unit.dashboards.rules_world import ALERTS, PROMTOOL, RECORDS, RULES

TESTS = sorted(Path(__file__).with_name("rules").glob("*.yaml"))
EXPECTED = [
    (row["alertname"], row["exp_alerts"])
    for file in TESTS
    for test in yaml.safe_load(file.read_text("utf-8"))["tests"]
    for row in test["alert_rule_test"]
]

each_alert = pytest.mark.parametrize("alert", ALERTS, ids=lambda rule: f"{rule['alert']}-{rule['labels']['severity']}")


def promtool_output(*arguments):
    result = subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True, check=False)
    return result.stdout + result.stderr if result.returncode else ""


def test_promtool_accepts_the_rules():
    assert not promtool_output("check", "rules", "--lint-fatal", *RULES)


@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.stem)
def test_the_tests_of_promtool_pass(file):
    assert not promtool_output("test", "rules", file)


@each_alert
def test_an_alert_has_a_test_in_which_it_fires_and_one_in_which_it_does_not(alert):
    rows = [expected for name, expected in EXPECTED if name == alert["alert"]]
    fires = [any(one["exp_labels"]["severity"] == alert["labels"]["severity"] for one in row) for row in rows]
    assert any(fires)
    assert not all(fires)


@each_alert
def test_an_alert_has_a_summary_a_description_and_a_runbook(alert):
    assert set(alert) == {"alert", "expr", "for", "labels", "annotations"}
    assert set(alert["annotations"]) == {"summary", "description", "runbook_url"}
    assert alert["labels"]["severity"] in ("critical", "warning")
    assert alert["annotations"]["runbook_url"] == f"https://runbooks.example/exec_exporter/{alert['alert']}.md"


def test_the_texts_of_an_alert_contain_every_label():
    for alert in chain.from_iterable(expected for _, expected in EXPECTED):
        text = " ".join(alert["exp_annotations"].values())
        missing = {name for name, value in alert["exp_labels"].items() if value not in text}
        assert missing <= {"cluster", "severity"}, text
        assert "<no value>" not in text


def test_recorded_series_are_named_level_metric_operations():
    for rule in RECORDS:
        level, metric, operations = rule["record"].split(":")
        assert re.fullmatch("[a-z_]+", level)
        assert re.fullmatch("[a-z0-9_]+", operations)
        queried = {name.split(":")[1] if ":" in name else name for name, _ in parse_query(rule["expr"]).selectors}
        assert queried & {metric, f"{metric}_total"}, rule["record"]


def test_every_queried_recording_rule_exists():
    recorded = {rule["record"] for rule in RECORDS}
    assert {
        name for rule in ALERTS + RECORDS for name, _ in parse_query(rule["expr"]).selectors if ":" in name
    } <= recorded


def test_only_metrics_of_prometheus_are_selected_by_job():
    by_job = {
        (name, str(matchers["job"][0]), matchers["job"][1])
        for rule in ALERTS + RECORDS
        for name, matchers in parse_query(rule["expr"]).selectors
        if "job" in matchers or not name.split(":")[-2 if ":" in name else -1].startswith("exec_")
    }
    assert by_job == {(name, "MatchOp.Equal", "exec") for name in ("up", "scrape_duration_seconds")}
