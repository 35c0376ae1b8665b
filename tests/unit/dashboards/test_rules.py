"""The alert and recording rules: that promtool takes them, that each alert fires, and what it then says."""

import re
import subprocess
from itertools import chain
from pathlib import Path

import pytest
import yaml

from tests.unit.promql import asked
from tests.unit.rules_world import PROMTOOL, ROOT, RULES

TESTS = sorted(Path(__file__).with_name("rules").glob("*.yaml"))
GROUPS = [group for file in RULES for group in yaml.safe_load(file.read_text("utf-8"))["groups"]]
ALERTS = [rule for group in GROUPS for rule in group["rules"] if "alert" in rule]
RECORDS = [rule for group in GROUPS for rule in group["rules"] if "record" in rule]
EXPECTED = [
    (row["alertname"], row["exp_alerts"])
    for file in TESTS
    for test in yaml.safe_load(file.read_text("utf-8"))["tests"]
    for row in test["alert_rule_test"]
]

each_alert = pytest.mark.parametrize("alert", ALERTS, ids=lambda rule: f"{rule['alert']}-{rule['labels']['severity']}")


def said_by_promtool(*arguments):
    result = subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True, check=False)
    return result.stdout + result.stderr if result.returncode else ""


def test_promtool_takes_them():
    assert not said_by_promtool("check", "rules", "--lint-fatal", *RULES)


@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.stem)
def test_promtools_tests_hold(file):
    assert not said_by_promtool("test", "rules", file)


@each_alert
def test_an_alert_has_a_test_in_which_it_fires_and_one_in_which_it_does_not(alert):
    rows = [expected for name, expected in EXPECTED if name == alert["alert"]]
    fires = [any(one["exp_labels"]["severity"] == alert["labels"]["severity"] for one in row) for row in rows]
    assert any(fires)
    assert not all(fires)


@each_alert
def test_an_alert_has_what_a_person_needs(alert):
    assert set(alert) == {"alert", "expr", "for", "labels", "annotations"}
    assert set(alert["annotations"]) == {"summary", "description", "runbook_url"}
    assert alert["labels"]["severity"] in ("critical", "warning")
    assert alert["annotations"]["runbook_url"] == f"https://runbooks.example/exec_exporter/{alert['alert']}.md"


def test_what_an_alert_says_has_every_label_in_it():
    for one in chain.from_iterable(expected for _, expected in EXPECTED):
        said = " ".join(one["exp_annotations"].values())
        unsaid = {name for name, value in one["exp_labels"].items() if value not in said}
        assert unsaid <= {"cluster", "severity"}, said
        assert "<no value>" not in said


def test_there_is_a_runbook_for_each_alert_and_none_besides():
    runbooks = {file.stem for file in (ROOT / "dashboards/runbooks").glob("*.md")}
    assert runbooks == {alert["alert"] for alert in ALERTS}


@pytest.mark.parametrize("name", sorted({alert["alert"] for alert in ALERTS}))
def test_a_runbook_has_the_same_sections_and_three_first_commands(name):
    text = (ROOT / f"dashboards/runbooks/{name}.md").read_text("utf-8")
    title, *sections = re.split(r"^#+ ", text, flags=re.MULTILINE)[1:]
    assert title.strip() == name
    assert [section.split("\n")[0] for section in sections] == [
        "Meaning",
        "Likely causes",
        "First commands",
        "How to accept",
    ]
    assert len(re.findall(r"^ {4}\S", sections[2], re.MULTILINE)) == 3


def test_recorded_series_are_named_level_metric_operations():
    for rule in RECORDS:
        level, metric, operations = rule["record"].split(":")
        assert re.fullmatch("[a-z_]+", level)
        assert re.fullmatch("[a-z0-9_]+", operations)
        asked_for = {name.split(":")[1] if ":" in name else name for name, _ in asked(rule["expr"]).selectors}
        assert asked_for & {metric, f"{metric}_total"}, rule["record"]


def test_every_recorded_series_that_is_asked_for_is_recorded():
    recorded = {rule["record"] for rule in RECORDS}
    assert {name for rule in ALERTS + RECORDS for name, _ in asked(rule["expr"]).selectors if ":" in name} <= recorded


def test_only_what_has_no_name_of_its_own_is_asked_for_by_job():
    by_job = {
        (name, str(matchers["job"][0]), matchers["job"][1])
        for rule in ALERTS + RECORDS
        for name, matchers in asked(rule["expr"]).selectors
        if "job" in matchers or not name.split(":")[-2 if ":" in name else -1].startswith("exec_")
    }
    assert by_job == {(name, "MatchOp.Equal", "exec") for name in ("up", "scrape_duration_seconds")}
