"""The committed dashboards and the queries of their panels."""

import json
from pathlib import Path

DASHBOARDS = {
    file.stem: json.loads(file.read_text("utf-8"))
    for file in sorted((Path(__file__).parents[3] / "dashboards/grafana").glob("*.json"))
}
PANELS = [(name, panel) for name, dashboard in DASHBOARDS.items() for panel in dashboard["panels"]]
TARGETS = [(name, panel, target) for name, panel in PANELS for target in panel["targets"]]
ANNOTATIONS = [
    (name, annotation) for name, dashboard in DASHBOARDS.items() for annotation in dashboard["annotations"]["list"]
]


def variables(dashboard):
    return {variable["name"]: variable for variable in dashboard["templating"]["list"]}


def filled_in(expression, rate_interval, shown, **chosen):
    """Return an expression as Grafana sends it with "All" selected for each variable."""
    values = {"cluster": ".*", "job": ".+", "instance": ".+", **chosen}
    for name, value in values.items():
        expression = expression.replace(f"${name}", value)
    return expression.replace("$__rate_interval", rate_interval).replace("$__range", shown)
