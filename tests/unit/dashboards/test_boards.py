"""The dashboards: that they are what the code makes, and keep the rules of Grafana's dashboard-linter.

Its rules by their names are template-datasource, template-job, template-instance, template-label-promql,
template-on-time-change-reload, panel-datasource, panel-title-description, panel-units, panel-no-targets, target-promql,
target-rate-interval, target-job, target-instance, target-counter-agg and uneditable-dashboard. None has an exception.
"""

import re

import pytest
import yaml

from dashboards.__main__ import HERE, RUNBOOKS, dashboards, rules
from tests.unit.dashboards.grafana import ANNOTATIONS, DASHBOARDS, PANELS, TARGETS, variables
from tests.unit.dashboards.promql import asked

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


def test_what_is_committed_is_what_the_code_makes():
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
        # What has no cluster is in none, and is not to be left out.
        assert variable["allValue"] == (".*" if name == "cluster" else ".+")
        series, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]).groups()
        assert label == name
        assert [metric for metric, _ in asked(series).selectors] == ["exec_exporter_build_info"]


@each_dashboard
def test_a_dashboard_is_not_edited_in_grafana_and_is_linked_with_the_others(dashboard):
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
def test_a_panel_says_what_it_is(panel):
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
def test_the_columns_of_a_table_are_labels_that_its_query_gives(panel):
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
    """A row of a legend beside takes 22 pixels, of the grid 38; below, two lines of short names have room."""
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
def test_a_query_is_of_what_the_variables_choose(panel, target):
    chosen = {name: ("MatchOp.Re", f"${name}") for name in ("cluster", "job", "instance")}
    selectors = asked(target["expr"]).selectors
    assert selectors
    for metric, matchers in selectors:
        assert {name: (str(matcher[0]), matcher[1]) for name, matcher in matchers.items() if name in chosen} == chosen
        if metric.endswith("_bucket"):
            assert panel["type"] == "heatmap" or "histogram_quantile(" in target["expr"]


@each_target
def test_a_counter_is_asked_for_its_rate_or_increase(panel, target):
    expression = target["expr"]
    counters = len(re.findall(r"_(?:total|bucket)\{", expression))
    assert len(re.findall(r"(?:rate|increase)\(\w+_(?:total|bucket)\{[^}]*\}\[", expression)) == counters - len(
        re.findall(r"count by \(path\) \(exec_executions_total\{", expression)
    )
    assert set(re.findall(r"rate\(\w+\{[^}]*\}\[(.*?)\]", expression)) <= {"$__rate_interval"}
    # What is counted over all that is shown is asked for once, or at its end: not anew for each point of a graph.
    if "[$__range]" in expression:
        assert target["instant"] or "[$__range] @ end()" in expression


@pytest.mark.parametrize("annotation", [annotation for _, annotation in ANNOTATIONS], ids=lambda each: each["name"])
def test_annotations_are_of_what_the_variables_choose(annotation):
    assert annotation["datasource"] == DATASOURCE
    assert annotation["expr"] == annotation["target"]["expr"]
    for _, matchers in asked(annotation["expr"]).selectors:
        assert {name for name, matcher in matchers.items() if matcher[1] == f"${name}"} == {
            "cluster",
            "job",
            "instance",
        }
