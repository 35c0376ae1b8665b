"""Panel builders. `width` and `height` are in cells of Grafana's grid of 24 columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    heatmap,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models.common import (
    AxisPlacement,
    BarGaugeDisplayMode,
    BigValueColorMode,
    BigValueGraphMode,
    GraphDrawStyle,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
    VizOrientation,
)
from grafana_foundation_sdk.models.dashboard import (
    DataTransformerConfig,
    DynamicConfigValue,
    FieldColorModeId,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode, HeatmapColorScale
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from dashboards.board import DATASOURCE

ROWS = 8  # fit into a legend beside a graph

Panel = TypeVar("Panel", bargauge.Panel, heatmap.Panel, stat.Panel, statetimeline.Panel, table.Panel, timeseries.Panel)
Mapped = Mapping[int, tuple[str, str]]  # value: text and color


def query(expr: str, legend: str = "", instant: bool = False) -> prometheus.Dataquery:
    """Return a query over the displayed time range, or an instant query."""
    dataquery = prometheus.Dataquery().expr(expr).legend_format(legend or "__auto").datasource(DATASOURCE)
    return dataquery.instant() if instant else dataquery.range()


def _framed(
    panel: Panel, title: str, description: str, width: int, height: int, queries: Sequence, runbook: str = ""
) -> Panel:
    panel = panel.title(title).description(description).datasource(DATASOURCE).span(width).height(height)
    for number, target in enumerate(queries):
        panel = panel.with_target(target.ref_id(chr(ord("A") + number)))
    if runbook:
        panel = panel.links([build.DashboardLink("Runbook").url(runbook).target_blank(True)])
    return panel


def _steps(*steps: tuple[float | None, str]) -> build.ThresholdsConfig:
    return (
        build.ThresholdsConfig()
        .mode(ThresholdsMode.ABSOLUTE)
        .steps([Threshold(value=value, color=color) for value, color in steps])
    )


def _mappings(mapped: Mapped) -> list:
    return [
        ValueMap(
            options={
                str(value): ValueMappingResult(text=text, color=color, index=index)
                for index, (value, (text, color)) in enumerate(mapped.items())
            }
        )
    ]


def number(
    title: str,
    description: str,
    expr: str,
    unit: str,
    *,
    width: int = 4,
    bad: float | None = None,
    text: str = "",
    decimals: int | None = None,
    instant: bool = False,
    runbook: str = "",
) -> stat.Panel:
    """Return a panel with one number, red from `bad` up. `text` replaces a missing value; `instant` hides the graph."""
    panel = _framed(stat.Panel(), title, description, width, 4, [query(expr, instant=instant)], runbook)
    steps = [(None, "text")] if bad is None else [(None, "green"), (bad, "red")]
    panel = (
        panel.unit(unit)
        .thresholds(_steps(*steps))
        .color_mode(BigValueColorMode.VALUE)
        .graph_mode(BigValueGraphMode.NONE if instant else BigValueGraphMode.AREA)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    )
    if decimals is not None:
        panel = panel.decimals(decimals)
    return panel.no_value(text) if text else panel


def graph(
    title: str,
    description: str,
    queries: Sequence[prometheus.Dataquery],
    unit: str,
    *,
    width: int = 8,
    height: int = 8,
    stacked: bool = False,
    beside: bool = False,
    text: str = "",
    maximum: float | None = None,
    runbook: str = "",
) -> timeseries.Panel:
    """Return a time series panel. The legend is a list below or, for long or many names, a table `beside` the graph."""
    panel = _framed(timeseries.Panel(), title, description, width, height, queries, runbook)
    panel = (
        panel.unit(unit)
        .min(0)
        .line_width(1)
        .fill_opacity(30 if stacked else 10)
        .show_points(VisibilityMode.NEVER)
        .color_scheme(build.FieldColor().mode(FieldColorModeId.PALETTE_CLASSIC_BY_NAME))
        .draw_style(GraphDrawStyle.LINE)
        .stacking(common.StackingConfig().mode(StackingMode.NORMAL if stacked else StackingMode.NONE).group("A"))
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
        .legend(
            common.VizLegendOptions()
            .show_legend(True)
            .display_mode(LegendDisplayMode.TABLE if beside else LegendDisplayMode.LIST)
            .placement(LegendPlacement.RIGHT if beside else LegendPlacement.BOTTOM)
            .calcs(["mean"] if beside else [])
        )
    )
    if maximum is not None:
        panel = panel.max(maximum)
    return panel.no_value(text) if text else panel


def bars(
    title: str, description: str, expr: str, legend: str, unit: str, *, width: int = 8, height: int = 8
) -> bargauge.Panel:
    """Return a panel with one bar per series of an instant query."""
    panel = _framed(bargauge.Panel(), title, description, width, height, [query(expr, legend, instant=True)])
    return (
        panel.unit(unit)
        .min(0)
        .decimals(0)
        .thresholds(_steps((None, "blue")))
        .display_mode(BarGaugeDisplayMode.BASIC)
        .orientation(VizOrientation.HORIZONTAL)
        .show_unfilled(True)
        .min_viz_height(8)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    )


def rows(
    title: str,
    description: str,
    expr: str,
    columns: Mapping[str, str],
    value: str,
    unit: str,
    *,
    width: int = 12,
    height: int = 8,
    descending: bool = True,
    mapped: Mapped | None = None,
    links: Mapping[str, tuple[str, str]] | None = None,
    text: str = "",
) -> table.Panel:
    """Return a table with one row per series: the labels in `columns` (label to title), then the value titled `value`.

    `links` maps titles of columns to the title and URL of a link.
    """
    target = query(expr, instant=True).format(PromQueryFormat.TABLE)
    shown = [*columns, "Value"]
    panel = _framed(table.Panel(), title, description, width, height, [target])
    panel = (
        panel.unit("none")
        .filterable(True)
        .transformations(
            [
                DataTransformerConfig(id_val="filterFieldsByName", options={"include": {"names": shown}}),
                DataTransformerConfig(
                    id_val="organize",
                    options={
                        "excludeByName": {},
                        "indexByName": {name: index for index, name in enumerate(shown)},
                        "renameByName": {**columns, "Value": value},
                    },
                ),
            ]
        )
        .sort_by([common.TableSortByFieldState().display_name(value).desc(descending)])
    )
    properties = [DynamicConfigValue("unit", unit)]
    if unit == "locale":
        properties.append(DynamicConfigValue("decimals", 0))
    if mapped:
        properties += [
            DynamicConfigValue("mappings", _mappings(mapped)),
            DynamicConfigValue("custom.cellOptions", {"type": "color-text"}),
        ]
    panel = panel.override_by_name(value, properties)
    for column, (name, url) in (links or {}).items():
        panel = panel.override_by_name(
            column, [DynamicConfigValue("links", [{"title": name, "url": url, "targetBlank": True}])]
        )
    return panel.no_value(text) if text else panel


def heat(
    title: str, description: str, metric_rate: str, unit: str, *, width: int = 8, height: int = 8
) -> heatmap.Panel:
    """Return a heatmap of a histogram; `metric_rate` is the rate of its buckets."""
    target = query(f"sum by (le) ({metric_rate})", "{{le}}").format(PromQueryFormat.HEATMAP)
    return (
        _framed(heatmap.Panel(), title, description, width, height, [target])
        .unit(unit)
        .calculate(False)
        .cell_gap(1)
        .show_value(VisibilityMode.NEVER)
        .y_axis(heatmap.YAxisConfig().unit(unit).axis_placement(AxisPlacement.LEFT))
        .cell_values(heatmap.CellValues().unit("ops"))
        .color(
            heatmap.HeatmapColorOptions()
            .mode(HeatmapColorMode.SCHEME)
            .scheme("Oranges")
            .scale(HeatmapColorScale.EXPONENTIAL)
            .exponent(0.5)
            .steps(64)
        )
        .filter_values(heatmap.FilterValueRange().le(1e-9))
    )


def states(
    title: str, description: str, expr: str, legend: str, mapped: Mapped, *, width: int = 8, height: int = 8
) -> statetimeline.Panel:
    """Return a state timeline with one line per series, colored by value."""
    return (
        _framed(statetimeline.Panel(), title, description, width, height, [query(expr, legend)])
        .unit("none")
        .mappings(_mappings(mapped))
        .thresholds(_steps((None, "text")))
        .color_scheme(build.FieldColor().mode(FieldColorModeId.THRESHOLDS))
        .merge_values(True)
        .show_value(VisibilityMode.AUTO)
        .row_height(0.8)
        .fill_opacity(80)
        .line_width(0)
        .legend(
            common.VizLegendOptions()
            .show_legend(True)
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
        )
    )
