"""The tables in docs/metrics.md: `python -m exporter.metrics.markdown` writes them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from exporter.events.traits import TRAITS
from exporter.metrics.definitions import METRICS


def table(columns: str, rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table; `columns` is its first line without the outer bars."""
    lines = [f"| {columns} |", "|---" * (columns.count("|") + 1) + "|"]
    lines += [f"| {' | '.join(cells)} |" for cells in rows]
    return "\n".join(lines) + "\n"


def code(texts: Iterable[str]) -> str:
    """Return the texts as inline code, separated by commas."""
    return ", ".join(f"`{text}`" for text in texts)


def replace_section(page: Path, name: str, text: str) -> None:
    """Replace the text between the comments `<!-- NAME: ... -->` and `<!-- /NAME -->` of a page."""
    old = page.read_text("utf-8")
    begin, end = old.index("-->", old.index(f"<!-- {name}:")) + 4, old.index(f"<!-- /{name} -->")
    page.write_text(old[:begin] + text + old[end:], "utf-8")


def markdown() -> str:
    """Return the tables of docs/metrics.md: metrics, label values, histograms, traits."""
    metrics = [(code([metric.name]), metric.type, code(metric.labels), metric.help) for metric in METRICS]
    histograms = [
        (code([metric.name]), metric.question, ", ".join(map(_bound, metric.bounds)))
        for metric in METRICS
        if metric.bounds
    ]
    closed: dict[str, dict[str, None]] = {}
    for label, values in (item for metric in METRICS for item in metric.values.items()):
        closed[label] = dict.fromkeys((*closed.get(label, ()), *values))
    traits = [(code([trait]), meaning) for trait, meaning in TRAITS.items()]
    tables = (
        table("metric | type | labels | meaning", metrics),
        "## Label values\n",
        table("label | values", ((code([label]), code(values)) for label, values in closed.items())),
        "## Histograms\n",
        table("histogram | question | upper bounds of the buckets", histograms),
        "## Traits\n",
        table("trait | meaning", traits),
    )
    return "\n".join(tables)


def _bound(bound: float) -> str:
    return f"{bound:g}" if bound < 1 else f"{bound:.0f}"


if __name__ == "__main__":
    replace_section(Path("docs/metrics.md"), "metrics", markdown())
