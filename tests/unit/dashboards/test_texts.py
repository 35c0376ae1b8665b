"""Runbooks, rules and chart texts: commands, flags, metrics and links in them exist; each alert has a runbook."""

import argparse
import re
import subprocess

import pytest

from exporter.__main__ import COMMANDS
from exporter.commands import catalogue, findings, trace, unpin
from exporter.metrics import definitions
from exporter.service import options
from tests.unit.dashboards.rules_world import ALERTS, ROOT

DOCUMENTS = {
    file.relative_to(ROOT).as_posix(): file.read_text("utf-8")
    for pattern in (
        "dashboards/runbooks/*.md",
        "dashboards/README.md",
        "dashboards/rules/*.yaml",
        "helm/exec-exporter/README.md",
        "helm/exec-exporter/values.yaml",
        "helm/exec-exporter/templates/*",
    )
    for file in sorted(ROOT.glob(pattern))
    if file.is_file()
}
RUNBOOKS = {name: text for name, text in DOCUMENTS.items() if "/runbooks/" in name}
PARSERS = {
    "": options.parser(),
    "catalogue": catalogue.parser(),
    "findings": findings.parser(),
    "trace": trace.parser(),
    "unpin": unpin.parser(),
}

each_document = pytest.mark.parametrize("name", DOCUMENTS)
each_runbook = pytest.mark.parametrize("name", RUNBOOKS)


def subparsers(parser):
    choices = (action.choices for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return next(choices, {})


def flags(parser):
    own = {flag for action in parser._actions for flag in action.option_strings}
    return own.union(*(flags(each) for each in subparsers(parser).values()))


def test_there_is_a_runbook_for_each_alert_and_none_besides():
    alerts = {alert["alert"] for alert in ALERTS}
    assert {name.rpartition("/")[2] for name in RUNBOOKS} == {f"{alert}.md" for alert in alerts}


@each_runbook
def test_a_runbook_has_the_same_sections_and_three_valid_commands(name):
    title, *sections = re.split(r"^#+ ", RUNBOOKS[name], flags=re.MULTILINE)[1:]
    assert f"{title.strip()}.md" == name.rpartition("/")[2]
    assert [section.split("\n")[0] for section in sections] == [
        "Meaning",
        "Likely causes",
        "Diagnosis",
        "False positives",
        "Resolution",
    ]
    commands = re.findall(r"^ {4}(\S.*)", sections[2], re.MULTILINE)
    assert len(commands) == 3
    subprocess.run(["bash", "-n", "-c", "\n".join(commands)], check=True)


@each_document
def test_links_lead_to_files(name):
    for link in re.findall(r"\]\((?!https?://)([^)#]+)", DOCUMENTS[name]):
        assert (ROOT / name).parent.joinpath(link).exists(), link


def test_every_command_has_a_parser():
    assert set(COMMANDS) == set(PARSERS) - {""}


@each_document
def test_every_flag_of_the_exporter_exists(name):
    known = set().union(*map(flags, PARSERS.values()))
    named = set(re.findall(r"(?<![\w-])--(?:no-)?[a-z]+(?:\.[a-z]+(?:-[a-z]+)*)+", DOCUMENTS[name]))
    assert named <= known


@each_document
def test_every_metric_exists(name):
    """A text may name the common beginning of several metrics."""
    for metric in set(re.findall(r"\bexec_(?:[a-z]+_)*[a-z]+\b(?![.:/])", DOCUMENTS[name])) - {"exec_exporter"}:
        assert any(known.name.startswith(metric) for known in definitions.METRICS), metric


@each_document
def test_every_command_of_the_exporter_exists_with_its_flags(name):
    for line in re.findall(r"(?:^ {4}|; |`|-- )exec_exporter ([^`\n]+)", DOCUMENTS[name], re.MULTILINE):
        words = re.split(r"\s+#|[|;]", line)[0].split()
        command = "" if words[0].startswith("--") else words[0]
        assert command in PARSERS, line
        parser = PARSERS[command]
        if subparsers(parser):
            assert words[1] in subparsers(parser), line
            parser = subparsers(parser)[words[1]]
        assert {word.partition("=")[0] for word in words if word.startswith("--")} <= flags(parser), line
