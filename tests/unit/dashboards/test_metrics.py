"""Every metric, label and value in dashboards and rules exists in the exporter."""

import re

import pytest

from exporter.metrics import definitions
from tests.unit.dashboards.grafana import ANNOTATIONS, DASHBOARDS, TARGETS, variables
from tests.unit.dashboards.promql import parse_query
from tests.unit.dashboards.rules_world import ALERTS, RECORDS

TABLE = {metric.name: metric for metric in definitions.METRICS}
SUFFIXES = ("_bucket", "_count", "_sum")
TARGET_LABELS = {"cluster", "job", "instance"}
PROMETHEUS_OWN = {"up", "scrape_duration_seconds"}
RECORDED = {rule["record"] for rule in RECORDS}
EXPRESSIONS = sorted(
    {target["expr"] for _, _, target in TARGETS}
    | {annotation["expr"] for _, annotation in ANNOTATIONS}
    | {rule["expr"] for rule in ALERTS + RECORDS}
    | {
        variable["query"].removeprefix("label_values(").rpartition(", ")[0]
        for dashboard in DASHBOARDS.values()
        for variable in variables(dashboard).values()
        if variable["type"] == "query"
    }
)


def metric_of(name):
    """Return the metric of a series; for a recording rule, the metric that it records."""
    name = name.split(":")[1] if name in RECORDED else name
    for candidate in (name, f"{name}_total", *(name.removesuffix(suffix) for suffix in SUFFIXES)):
        if candidate in TABLE:
            return TABLE[candidate]
    raise AssertionError(f"{name} is not a metric")


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_a_query_uses_existing_metrics_labels_and_values(expression):
    found = parse_query(expression)
    known = set(TARGET_LABELS)
    for name, matchers in found.selectors:
        if name in PROMETHEUS_OWN:
            assert set(matchers) <= TARGET_LABELS
            continue
        metric = metric_of(name)
        known |= {*metric.labels, "le"} if metric.type == "histogram" else set(metric.labels)
        for label, (operator, value) in matchers.items():
            if label not in TARGET_LABELS:
                assert label in metric.labels, (name, label)
                values = metric.values.get(label, ())
                wanted = value.split("|") if "Re" in str(operator) else [value]
                # "other" stands for paths beyond the series limit
                assert set(wanted) <= {*values, "other"} or (str(operator).startswith("MatchOp.Not")), (name, value)
    assert found.labels <= known


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: f"{rule['alert']}-{rule['labels']['severity']}")
def test_the_texts_of_an_alert_use_existing_labels(rule):
    labels = {label for metric in TABLE.values() for label in metric.labels} | TARGET_LABELS
    assert set(re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values()))) <= labels


@pytest.mark.parametrize("panel", [panel for _, panel, _ in TARGETS], ids=lambda panel: panel["title"])
def test_legends_and_columns_are_labels_of_the_queried_metrics(panel):
    known = set(TARGET_LABELS) | {"le", "Value"}
    for target in panel["targets"]:
        for name, _ in parse_query(target["expr"]).selectors:
            known |= set() if name in PROMETHEUS_OWN else set(metric_of(name).labels)
        assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= known
    if panel["type"] == "table":
        assert set(panel["transformations"][0]["options"]["include"]["names"]) <= known
