"""The dashboards are up to date and follow the rules of Grafana's dashboard-linter, without exceptions.

The rules are template-datasource, template-job, template-instance, template-label-promql,
template-on-time-change-reload, panel-datasource, panel-title-description, panel-units, panel-no-targets, target-promql,
target-rate-interval, target-job, target-instance, target-counter-agg and uneditable-dashboard.
"""

import re

import pytest
import yaml

from dashboards.__main__ import HERE, RUNBOOKS, dashboards, rules
from tests.unit.dashboards.grafana import ANNOTATIONS, DASHBOARDS, PANELS, TARGETS, variables
from tests.unit.dashboards.promql import parse_query

UNITS = {"none", "short", "locale", "percentunit", "ops", "s", "bytes", "dateTimeAsIso"}
PANEL_TYPES = {"timeseries", "stat", "table", "heatmap", "bargauge", "state-timeline"}
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}

each_dashboard = pytest.mark.parametrize("dashboard", DASHBOARDS.values(), ids=DASHBOARDS)
each_panel = pytest.mark.parametrize("panel", [panel for _, panel in PANELS], ids=lambda panel: panel["title"])
each_target = pytest.mark.parametrize(
    ("panel", "target"),
    [(panel, target) for _, panel, target in TARGETS],
    ids=[f"{panel['title']}-{target['refId']}" for _, panel, target in TARGETS],
)


def test_the_committed_dashboards_are_up_to_date():
    made = dict(dashboards())
    assert set(made) == {file.name for file in (HERE / "grafana").iterdir()}, "run: make dashboards"
    for name, text in made.items():
        assert (HERE / "grafana" / name).read_text("utf-8") == text, "run: make dashboards"


def test_runbooks_and_job_can_be_set():
    text = "".join(text for _, text in rules("https://wiki.acme.example/x", 'a"b'))
    assert RUNBOOKS not in text
    assert 'up{job="a\\"b"} == 0' in text
    assert 'job="exec"' not in text
    alerts = [
        rule
        for group in yaml.safe_load(dict(rules("https://x.example", "y"))["exporter.yaml"])["groups"]
        for rule in group["rules"]
    ]
    assert alerts[0]["annotations"]["runbook_url"] == "https://x.example/ExecExporterDown.md"
    assert RUNBOOKS not in "".join(text for _, text in dashboards("https://x.example"))


@each_dashboard
def test_a_dashboard_has_its_variables(dashboard):
    found = variables(dashboard)
    assert list(found) == ["datasource", "cluster", "job", "instance"]
    assert (found["datasource"]["type"], found["datasource"]["query"]) == ("datasource", "prometheus")
    assert found["datasource"]["label"] == "Data source"
    for name in ("cluster", "job", "instance"):
        variable = found[name]
        assert variable["type"] == "query"
        assert variable["datasource"] == DATASOURCE
        assert variable["label"] == name.title()
        assert variable["multi"]
        assert variable["includeAll"]
        assert variable["refresh"] == 2
        # All must include series without a cluster.
        assert variable["allValue"] == (".*" if name == "cluster" else ".+")
        series, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]).groups()
        assert label == name
        assert [metric for metric, _ in parse_query(series).selectors] == ["exec_exporter_build_info"]


@each_dashboard
def test_a_dashboard_is_read_only_and_links_to_the_others(dashboard):
    assert dashboard["editable"] is False
    assert dashboard["schemaVersion"] == 39
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    others, runbooks = dashboard["links"]
    assert others["tags"] == dashboard["tags"]
    assert others["includeVars"]
    assert others["keepTime"]
    assert runbooks["url"] == RUNBOOKS


@each_dashboard
def test_panels_fill_the_grid_and_do_not_overlap(dashboard):
    taken = {}
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                assert (x, y) not in taken, (panel["title"], taken[x, y])
                taken[x, y] = panel["title"]
    height = max(y for _, y in taken) + 1
    assert len(taken) == 24 * height
    assert height <= 45


@each_panel
def test_a_panel_has_a_title_a_description_and_a_data_source(panel):
    assert panel["type"] in PANEL_TYPES
    assert panel["title"].endswith("?")
    assert panel["description"].endswith(".")
    assert panel["datasource"] == DATASOURCE
    assert panel["targets"]
    assert all(target["datasource"] == DATASOURCE for target in panel["targets"])


@each_panel
def test_a_panel_has_units(panel):
    units = {panel["fieldConfig"]["defaults"].get("unit")}
    if panel["type"] == "heatmap":
        units |= {panel["options"]["yAxis"]["unit"], panel["options"]["cellValues"]["unit"]}
    for override in panel["fieldConfig"]["overrides"]:
        units |= {each["value"] for each in override["properties"] if each["id"] == "unit"}
    assert units <= UNITS


@each_panel
def test_the_columns_of_a_table_are_labels_of_its_query(panel):
    if panel["type"] != "table":
        return
    (target,) = panel["targets"]
    assert (target["format"], target["instant"]) == ("table", True)
    keep, organize = panel["transformations"]
    assert (keep["id"], organize["id"]) == ("filterFieldsByName", "organize")
    columns = keep["options"]["include"]["names"]
    assert columns == list(organize["options"]["indexByName"]) == list(organize["options"]["renameByName"])
    titles = list(organize["options"]["renameByName"].values())
    for override in panel["fieldConfig"]["overrides"]:
        assert override["matcher"]["id"] == "byName"
        assert override["matcher"]["options"] in titles
    assert panel["options"]["sortBy"][0]["displayName"] in titles


@each_panel
def test_a_legend_is_no_longer_than_its_panel(panel):
    """A legend row beside a graph is 22 pixels high, a grid row 38. Below a graph, two lines of short names fit."""
    if panel["type"] != "timeseries":
        return
    legend = panel["options"]["legend"]
    labels = set(re.findall(r"\{\{(\w+)\}\}", " ".join(target["legendFormat"] for target in panel["targets"])))
    if labels & {"path", "interpreter"}:
        assert legend["placement"] == "right"
        assert all("topk(8, " in target["expr"] for target in panel["targets"])
    if labels & {"trait", "reason"}:  # eleven and nine
        assert legend["placement"] == "right"
        assert panel["gridPos"]["h"] >= 9
    if legend["placement"] == "right":
        assert legend["displayMode"] == "table"
        assert panel["gridPos"]["w"] >= 12


@each_target
def test_a_query_selects_by_the_variables(panel, target):
    chosen = {name: ("MatchOp.Re", f"${name}") for name in ("cluster", "job", "instance")}
    selectors = parse_query(target["expr"]).selectors
    assert selectors
    for metric, matchers in selectors:
        assert {name: (str(matcher[0]), matcher[1]) for name, matcher in matchers.items() if name in chosen} == chosen
        if metric.endswith("_bucket"):
            assert panel["type"] == "heatmap" or "histogram_quantile(" in target["expr"]


@each_target
def test_a_counter_is_queried_as_rate_or_increase(panel, target):
    expression = target["expr"]
    counters = len(re.findall(r"_(?:total|bucket)\{", expression))
    assert len(re.findall(r"(?:rate|increase)\(\w+_(?:total|bucket)\{[^}]*\}\[", expression)) == counters - len(
        re.findall(r"count by \(path\) \(exec_executions_total\{", expression)
    )
    assert set(re.findall(r"rate\(\w+\{[^}]*\}\[(.*?)\]", expression)) <= {"$__rate_interval"}
    # An increase over the displayed range is evaluated once, not for each point of a graph.
    if "[$__range]" in expression:
        assert target["instant"] or "[$__range] @ end()" in expression


@pytest.mark.parametrize("annotation", [annotation for _, annotation in ANNOTATIONS], ids=lambda each: each["name"])
def test_annotations_select_by_the_variables(annotation):
    assert annotation["datasource"] == DATASOURCE
    assert annotation["expr"] == annotation["target"]["expr"]
    for _, matchers in parse_query(annotation["expr"]).selectors:
        assert {name for name, matcher in matchers.items() if matcher[1] == f"${name}"} == {
            "cluster",
            "job",
            "instance",
        }
