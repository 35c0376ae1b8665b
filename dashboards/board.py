"""The common parts of all dashboards: variables, links and annotations."""

from __future__ import annotations

from collections.abc import Iterable

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import (
    Dashboard,
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    Panel,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

TAG = "exec_exporter"
SCHEMA_VERSION = 39  # of Grafana 10.4
DATASOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
SELECTED = 'cluster=~"$cluster", job=~"$job", instance=~"$instance"'


def selected(metric: str, matchers: str = "", over: str = "") -> str:
    """Return a selector restricted to the dashboard's variables, with further matchers and a range."""
    return f"{metric}{{{SELECTED}{', ' if matchers else ''}{matchers}}}{f'[{over}]' if over else ''}"


def rate(metric: str, matchers: str = "") -> str:
    """Return the rate of a counter, for graphs."""
    return f"rate({selected(metric, matchers, '$__rate_interval')})"


def increase(metric: str, matchers: str = "", at: str = "") -> str:
    """Return the increase of a counter over the displayed time range; `at` is an @ modifier."""
    return f"increase({selected(metric, matchers, '$__range')}{at})"


class Annotation:
    """An annotation from Prometheus. The SDK's own class lacks some of the keys that Grafana reads."""

    def __init__(self, name: str, color: str, text: str, expr: str, value_is_time: bool = False) -> None:
        self._json = {
            "name": name,
            "datasource": DATASOURCE,
            "enable": True,
            "hide": False,
            "iconColor": color,
            "expr": expr,
            "step": "60s",
            "titleFormat": name,
            "textFormat": text,
            "tagKeys": "job,instance",
            "useValueForTime": value_is_time,
            "target": {"refId": "Anno", "expr": expr, "interval": "60s"},
        }

    def build(self) -> Annotation:
        """Return itself: the interface of an SDK builder."""
        return self

    def to_json(self) -> dict[str, object]:
        """Return the JSON object: the interface of an SDK model."""
        return self._json


def _variable(name: str, all_value: str, narrowed_by: str = "") -> build.QueryVariable:
    return (
        build.QueryVariable(name)
        .label(name.title())
        .datasource(DATASOURCE)
        .query(f"label_values(exec_exporter_build_info{narrowed_by}, {name})")
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(all_value)
        .current(VariableOption(selected=True, text=["All"], value=["$__all"]))
    )


def board(uid: str, title: str, description: str, runbooks: str, panels: Iterable[Builder[Panel]]) -> Dashboard:
    """Return a dashboard of these panels, placed from left to right and top to bottom."""
    builder = (
        build.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags([TAG])
        .readonly()
        .timezone("browser")
        .time("now-1h", "now")
        .refresh("1m")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(
            build.DatasourceVariable("datasource")
            .label("Data source")
            .type("prometheus")
            .current(VariableOption(selected=True, text="default", value="default"))
        )
        # Not a label of the exporter: "All" must also match series without a cluster.
        .with_variable(_variable("cluster", ".*"))
        .with_variable(_variable("job", ".+", '{cluster=~"$cluster"}'))
        .with_variable(_variable("instance", ".+", '{cluster=~"$cluster", job=~"$job"}'))
        .link(
            build.DashboardLink("exec_exporter")
            .type(DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .include_vars(True)
            .keep_time(True)
        )
        .link(build.DashboardLink("Runbooks").type(DashboardLinkType.LINK).icon("doc").url(runbooks).target_blank(True))
        .annotation(
            Annotation(
                "Restarts",
                "blue",
                "exec_exporter on {{instance}} was restarted",
                f"resets({selected('exec_exporter_probe_runs_total', over='2m')}) > 0",
            )
        )
        .annotation(
            Annotation(
                "New findings",
                "red",
                "{{path}} on {{instance}}: {{reason}}",
                f"1000 * {selected('exec_novel_binary_first_seen_timestamp_seconds')}",
                value_is_time=True,
            )
        )
    )
    for number, panel in enumerate(panels, 1):
        builder = builder.with_panel(panel.id(number))
    model = builder.build()
    model.schema_version = SCHEMA_VERSION
    return model
