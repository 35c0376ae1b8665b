"""Alerts and dashboards are those of dashboards/, except for the changes that values make."""

import json
import subprocess

import pytest
import yaml

from tests.chart.helm import ROOT, HelmError, settings, template

NAME = "exec-exporter"
ON = "prometheusRule.enabled=true"
FILES = [yaml.safe_load(file.read_text()) for file in sorted((ROOT / "dashboards/rules").glob("*.yaml"))]
RULES = [rule for file in FILES for group in file["groups"] for rule in group["rules"]]
DASHBOARDS = {file.name: file.read_text() for file in (ROOT / "dashboards/grafana").glob("*.json")}


def rule(*pairs):
    return template(*settings(ON, *pairs))["PrometheusRule", NAME]


def rules(*pairs):
    return [one for group in rule(*pairs)["spec"]["groups"] for one in group["rules"]]


def dashboards(*pairs):
    objects = template(*settings("dashboards.enabled=true", *pairs))
    return [one for (kind, _), one in objects.items() if kind == "ConfigMap"]


def test_the_rules_are_those_of_dashboards():
    assert rules() == RULES
    groups = [group for file in FILES for group in file["groups"]]
    assert rule()["spec"]["groups"] == groups


def test_a_disabled_alert_is_omitted_and_nothing_else():
    assert rules('prometheusRule.disabled={"ExecStorm": true}') == [
        one for one in RULES if one.get("alert") != "ExecStorm"
    ]
    assert rules('prometheusRule.disabled={"ExecStorm": false}') == RULES


def test_each_alert_can_be_disabled():
    names = {one["alert"] for one in RULES if "alert" in one}
    disabled = json.dumps(dict.fromkeys(names, True))
    assert rules(f"prometheusRule.disabled={disabled}") == [one for one in RULES if "record" in one]


def test_an_unknown_alert_cannot_be_disabled():
    with pytest.raises(
        HelmError, match=r"prometheusRule\.disabled: there is no alert ExecStrom; alerts are .*ExecStorm"
    ):
        rules('prometheusRule.disabled={"ExecStrom": true}')


def test_labels_of_all_alerts():
    for one in rules('prometheusRule.alertLabels={"team": "security", "severity": "page"}'):
        if "alert" in one:
            assert (one["labels"]["team"], one["labels"]["severity"]) == ("security", "page")
        else:
            assert "team" not in one.get("labels", {})


def test_custom_job_and_runbooks(tmp_path):
    made = rules('job="node-exec"', 'runbooks="https://wiki.example/exec/"')
    text = json.dumps(made)
    assert 'up{job=\\"node-exec\\"}' in text
    assert 'job=\\"exec\\"' not in text
    assert "runbooks.example" not in text
    links = {one["annotations"]["runbook_url"] for one in made if "alert" in one}
    assert links == {f"https://wiki.example/exec/{link.rpartition('/')[2]}" for link in links}
    for link in links:
        assert (ROOT / "dashboards/runbooks" / link.rpartition("/")[2]).exists()
    file = tmp_path / "rules.yaml"
    file.write_text(json.dumps(rule('job="node-exec"')["spec"]))
    subprocess.run([ROOT / ".cache/promtool", "check", "rules", file], check=True, capture_output=True)


def test_namespace_labels_and_annotations_of_the_rule():
    metadata = rule('prometheusRule.namespace="m"', 'prometheusRule.labels={"a": "b"}',
                    'prometheusRule.annotations={"c": "d"}')["metadata"]  # fmt: skip
    assert (metadata["namespace"], metadata["labels"]["a"], metadata["annotations"]) == ("m", "b", {"c": "d"})


def test_every_dashboard_is_a_config_map_that_the_sidecar_finds():
    made = dashboards()
    assert {name: text for one in made for name, text in one["data"].items()} == {
        name: text.strip() for name, text in DASHBOARDS.items()
    }
    assert len({one["metadata"]["name"] for one in made}) == len(DASHBOARDS) > 0
    for one in made:
        assert one["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert one["metadata"]["annotations"] == {"grafana_folder": "exec_exporter"}


def test_namespace_labels_and_annotations_of_the_dashboards():
    for one in dashboards(
        'dashboards.namespace="g"', 'dashboards.labels={"x": "y"}', 'dashboards.annotations={"f": "o"}'
    ):
        assert one["metadata"]["namespace"] == "g"
        assert one["metadata"]["labels"]["x"] == "y"
        assert one["metadata"]["annotations"]["f"] == "o"
    assert not any("runbooks.example" in json.dumps(one) for one in dashboards('runbooks="https://wiki.example"'))
