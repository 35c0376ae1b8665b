"""Makes what is made from the chart: the table of values in its README, and the plain manifest.

python helm/generate.py HELM
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent
CHART = HERE / "exec-exporter"
README = CHART / "README.md"
MANIFEST = HERE / "exec-exporter.yaml"
BEGIN = "<!-- values: made by make docs from the comments in values.yaml -->\n"
END = "<!-- /values -->\n"
LONGEST_DEFAULT = 60

NAMESPACE = """\
# exec_exporter for clusters without Helm: kubectl apply -f exec-exporter.yaml
# Made by make docs from the chart in exec-exporter/. Put your registry's name for the image in its place.
apiVersion: v1
kind: Namespace
metadata:
  name: exec-exporter
  labels:
    pod-security.kubernetes.io/enforce: privileged
"""


def table(text: str) -> str:
    """The values that have a comment beginning with two dashes, as a table in Markdown."""
    lines = text.splitlines()
    rows = ["| value | default | |", "|---|---|---|"]
    for path, key, value in _values(yaml.compose(text)):
        described = re.fullmatch(r"\s*# -- (.*)", lines[key.start_mark.line - 1])
        if described:
            rows.append(f"| `{path}` | {_default(yaml.safe_load(yaml.serialize(value)))} | {described[1]} |")
    return "\n".join(rows) + "\n"


def _values(node: yaml.Node, prefix: str = "") -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield prefix + key.value, key, value
            yield from _values(value, f"{prefix}{key.value}.")


def _default(value: object) -> str:
    text = json.dumps(value)
    return f"`{text}`" if len(text) <= LONGEST_DEFAULT else "see values.yaml"


def readme(text: str) -> str:
    """The chart's README with its table as it should be."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + table((CHART / "values.yaml").read_text("utf-8")) + END + after


def manifest(helm: str) -> str:
    """What Helm would install with the default values."""
    command = [helm, "template", "exec-exporter", str(CHART), "--namespace=exec-exporter", "--skip-tests"]
    made = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    ours = (line for line in made.splitlines() if not re.search(r"^# Source|helm\.sh/|managed-by: Helm", line))
    return NAMESPACE + "\n".join(ours) + "\n"


if __name__ == "__main__":
    README.write_text(readme(README.read_text("utf-8")), "utf-8")
    MANIFEST.write_text(manifest(sys.argv[1]), "utf-8")
