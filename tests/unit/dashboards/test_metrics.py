"""Every metric, label and value that a dashboard, a rule or a runbook names is one that the exporter has."""

import re

import pytest

from exporter.metrics import definitions
from tests.unit.dashboards.grafana import ANNOTATIONS, DASHBOARDS, TARGETS, variables
from tests.unit.dashboards.promql import asked
from tests.unit.dashboards.rules_world import ALERTS, RECORDS, ROOT

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


def of_the_table(name):
    """The metric that a series belongs to, recorded ones by what they are recorded from."""
    name = name.split(":")[1] if name in RECORDED else name
    for candidate in (name, f"{name}_total", *(name.removesuffix(suffix) for suffix in SUFFIXES)):
        if candidate in TABLE:
            return TABLE[candidate]
    raise AssertionError(f"{name} is no metric")


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_a_query_asks_for_metrics_labels_and_values_that_there_are(expression):
    found = asked(expression)
    known = set(TARGET_LABELS)
    for name, matchers in found.selectors:
        if name in PROMETHEUS_OWN:
            assert set(matchers) <= TARGET_LABELS
            continue
        metric = of_the_table(name)
        known |= {*metric.labels, "le"} if metric.type == "histogram" else set(metric.labels)
        for label, (operator, value) in matchers.items():
            if label not in TARGET_LABELS:
                assert label in metric.labels, (name, label)
                values = metric.values.get(label, ())
                wanted = value.split("|") if "Re" in str(operator) else [value]
                # a metric may leave values out that another has, and "other" stands for paths beyond the limit
                assert set(wanted) <= {*values, "other"} or (str(operator).startswith("MatchOp.Not")), (name, value)
    assert found.labels <= known


def test_what_texts_name_is_there():
    labels = {label for metric in TABLE.values() for label in metric.labels} | TARGET_LABELS | {"severity"}
    texts = {file.name: file.read_text("utf-8") for file in (ROOT / "dashboards/runbooks").glob("*.md")}
    texts["README.md"] = (ROOT / "dashboards/README.md").read_text("utf-8")
    for name, text in texts.items():
        for metric in re.findall(r"\bexec_(?:[a-z]+_)*[a-z]+\b(?![.:])", text):
            is_beginning = any(known.startswith(metric) for known in TABLE)
            assert is_beginning or metric == "exec_exporter", (name, metric)
    for rule in ALERTS:
        for label in re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values())):
            assert label in labels, (rule["alert"], label)


@pytest.mark.parametrize("panel", [panel for _, panel, _ in TARGETS], ids=lambda panel: panel["title"])
def test_legends_and_columns_are_labels_of_what_is_asked_for(panel):
    known = set(TARGET_LABELS) | {"le", "Value"}
    for target in panel["targets"]:
        for name, _ in asked(target["expr"]).selectors:
            known |= set() if name in PROMETHEUS_OWN else set(of_the_table(name).labels)
        assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= known
    if panel["type"] == "table":
        assert set(panel["transformations"][0]["options"]["include"]["names"]) <= known
