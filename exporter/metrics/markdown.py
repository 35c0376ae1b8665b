"""Tables of metrics, histogram buckets and traits, as Markdown."""

from __future__ import annotations

from pathlib import Path

from exporter.events.traits import TRAITS
from exporter.metrics.definitions import METRICS


def markdown() -> str:
    """Return the three tables as the documentation shows them."""
    lines = ["| metric | type | labels | meaning |", "|---|---|---|---|"]
    for metric in METRICS:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        lines.append(f"| `{metric.name}` | {metric.type} | {labels} | {metric.help} |")
    lines += ["", "| histogram | question | upper bounds of the buckets |", "|---|---|---|"]
    for metric in METRICS:
        if metric.bounds:
            shown = ", ".join(f"{bound:g}" if bound < 1 else f"{bound:.0f}" for bound in metric.bounds)
            lines.append(f"| `{metric.name}` | {metric.question} | {shown} |")
    lines += ["", "| trait | meaning |", "|---|---|"]
    lines += [f"| `{trait}` | {meaning} |" for trait, meaning in TRAITS.items()]
    return "\n".join(lines) + "\n"


def _write(readme: Path) -> None:
    """Replace the tables in the README, between its marks."""
    text = readme.read_text("utf-8")
    begin, end = text.index("-->", text.index("<!-- metrics")) + 4, text.index("<!-- /metrics -->")
    readme.write_text(text[:begin] + markdown() + text[end:], "utf-8")


if __name__ == "__main__":
    _write(Path("README.md"))
