"""What the README says is true."""

import re
import textwrap
from pathlib import Path

from exporter.catalogue.finding import QUIET, Reason
from exporter.commands import trace
from exporter.events.labels import Labels
from exporter.metrics.markdown import markdown
from exporter.metrics.path_presets import PRESETS
from exporter.service import options as service

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")


def test_the_table_of_metrics_is_the_one_in_the_code():
    found = re.search(r"<!-- metrics.*?-->\n(.*?)<!-- /metrics -->", README, re.DOTALL)
    assert found
    assert found[1] == markdown(), "run: make readme"


def test_every_flag_that_it_names_exists():
    flags = {flag for of in (service, trace) for action in of.parser()._actions for flag in action.option_strings}
    assert set(re.findall(r"--[a-z]+(?:\.[a-z-]+)+|--(?:check|path|format|once|textfile)\b", README)) <= flags


def test_the_example_of_a_configuration_file_is_taken_and_does_what_it_says(tmp_path):
    found = re.search(r"<!-- configuration.*?-->\n(.*?)<!-- /configuration -->", README, re.DOTALL)
    assert found
    file = tmp_path / "exec_exporter.yml"
    file.write_text(textwrap.dedent(found[1]))
    options = service.parse([f"--config.file={file}"], {})
    assert options.web.listen_addresses == ("127.0.0.1:10042", "[::1]:10042")
    assert options.web.config_file == tmp_path / "web.yml"
    assert (options.probe.map_entries, options.series.limit, options.series.idle_seconds) == (65536, 4000, 86_400)
    assert options.collectors == service.parse([], {}).collectors - {"forks"}
    for path, label in {
        "/opt/releases/20261124-1f3a/bin/app": "/opt/releases/*/bin/app",
        "/tmp/go-build81236/b001/exe/main": "/tmp/go-build*/b*/exe/main",
        "/usr/bin/git": "/usr/bin/git",
        "/usr/lib/git-core/git": "other",
        "/srv/app": "other",
    }.items():
        assert options.series.path_rules.apply(Labels(path, "", "null")).path == label


def test_it_names_every_preset():
    table = README[README.index("| preset |") :].partition("\n\n")[0]
    assert re.findall(r"^\| `([a-z]+)` \|", table, re.MULTILINE) == list(PRESETS)


def test_it_explains_every_reason_and_says_which_are_findings():
    table = README[README.index("| reason |") :].partition("\n\n")[0]
    rows = re.findall(r"^\| `([a-z_]+)` \|.*\| (yes|counted only) \|$", table, re.MULTILINE)
    assert {reason for reason, _ in rows} == set(Reason)
    assert {reason for reason, kind in rows if kind == "counted only"} == QUIET
