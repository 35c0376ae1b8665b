"""Write the dashboards and, for another directory, the rules and runbooks: `make dashboards`."""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboards import executions, exporter, findings

HERE = Path(__file__).parent
RUNBOOKS = "https://runbooks.example/exec_exporter"
JOB = "exec"


def dashboards(runbooks: str = RUNBOOKS) -> Iterator[tuple[str, str]]:
    """Yield the file name and content of each dashboard."""
    for module in (executions, findings, exporter):
        model = module.board(runbooks)
        yield f"{model.uid}.json", json.dumps(model, cls=JSONEncoder, indent=2, ensure_ascii=False) + "\n"


def rules(runbooks: str, job: str) -> Iterator[tuple[str, str]]:
    """Yield the name and content of each rule file, with this runbook URL and job."""
    for file in sorted((HERE / "rules").glob("*.yaml")):
        text = file.read_text("utf-8")
        yield file.name, text.replace(RUNBOOKS, runbooks).replace(f'job="{JOB}"', f"job={json.dumps(job)}")


def main() -> None:
    """Write the files. In this directory, rules and runbooks are sources and stay as they are."""
    parser = argparse.ArgumentParser(prog="make dashboards")
    parser.add_argument("--runbooks", default=RUNBOOKS, help="base URL of the runbooks (default %(default)s)")
    parser.add_argument("--job", default=JOB, help="Prometheus job of the exporter (default %(default)s)")
    parser.add_argument("--output", type=Path, default=HERE, help="directory to write to (default %(default)s)")
    options = parser.parse_args()
    files = {("grafana", name): text for name, text in dashboards(options.runbooks)}
    if options.output.resolve() != HERE:
        files |= {("rules", name): text for name, text in rules(options.runbooks, options.job)}
        shutil.copytree(HERE / "runbooks", options.output / "runbooks", dirs_exist_ok=True)
    elif (options.runbooks, options.job) != (RUNBOOKS, JOB):
        parser.error("the committed files use the default runbooks and job: set OUT, too")
    for (folder, name), text in files.items():
        (options.output / folder).mkdir(parents=True, exist_ok=True)
        (options.output / folder / name).write_text(text, "utf-8")


if __name__ == "__main__":
    main()
