"""Writes the dashboards, and the rules and runbooks where they go elsewhere: see `make dashboards`."""

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
    """The name of each dashboard's file and what is in it."""
    for module in (executions, findings, exporter):
        model = module.board(runbooks)
        yield f"{model.uid}.json", json.dumps(model, cls=JSONEncoder, indent=2, ensure_ascii=False) + "\n"


def rules(runbooks: str, job: str) -> Iterator[tuple[str, str]]:
    """The name of each file of rules and what is in it, for a job and a place of runbooks."""
    for file in sorted((HERE / "rules").glob("*.yaml")):
        text = file.read_text("utf-8")
        yield file.name, text.replace(RUNBOOKS, runbooks).replace(f'job="{JOB}"', f"job={json.dumps(job)}")


def main() -> None:
    """Here only the dashboards are built: the rules and runbooks are themselves the source."""
    parser = argparse.ArgumentParser(prog="make dashboards")
    parser.add_argument("--runbooks", default=RUNBOOKS, help="where runbooks are read (default %(default)s)")
    parser.add_argument("--job", default=JOB, help="the job that the exporter is scraped in (default %(default)s)")
    parser.add_argument("--output", type=Path, default=HERE, help="the directory to write to (default %(default)s)")
    options = parser.parse_args()
    files = {("grafana", name): text for name, text in dashboards(options.runbooks)}
    if options.output.resolve() != HERE:
        files |= {("rules", name): text for name, text in rules(options.runbooks, options.job)}
        shutil.copytree(HERE / "runbooks", options.output / "runbooks", dirs_exist_ok=True)
    elif (options.runbooks, options.job) != (RUNBOOKS, JOB):
        parser.error("what is committed has the default runbooks and job: set OUT too")
    for (folder, name), text in files.items():
        (options.output / folder).mkdir(parents=True, exist_ok=True)
        (options.output / folder / name).write_text(text, "utf-8")


if __name__ == "__main__":
    main()
