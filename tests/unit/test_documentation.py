"""The documents agree with the code and with each other."""

import re
import textwrap
from pathlib import Path

import pytest

from exporter.catalogue.finding import QUIET, Reason
from exporter.commands import catalogue, findings, trace, unpin
from exporter.config import resolve
from exporter.events.labels import Labels
from exporter.metrics import markdown as metrics_markdown
from exporter.metrics.definitions import METRICS
from exporter.metrics.path_presets import PRESETS
from exporter.service import flags_markdown
from exporter.service import options as service

ROOT = Path(__file__).parents[2]
GLOBS = "*.md", "[!.]*/README.md", "docs/*.md", "helm/*/README.md", "dashboards/runbooks/*.md"
PAGES = {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for glob in GLOBS for path in ROOT.glob(glob)}
README_BYTES, SECTION_LINES = 9216, 45


def section(page, name):
    """Return the text between the comments that mark a section of a page."""
    (found,) = re.findall(rf"<!-- {name}:.*?-->\n(.*?)<!-- /{name} -->", PAGES[page], re.DOTALL)
    return found


def table(page, header):
    """Return the lines of the table that begins with a header."""
    return PAGES[page][PAGES[page].index(header) :].partition("\n\n")[0]


def prose(page):
    """Return a page without its indented code."""
    return "\n".join(line for line in PAGES[page].splitlines() if not line.startswith("    "))


def anchors(page):
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_readme_is_read_in_five_minutes():
    assert len(PAGES["README.md"].encode()) <= README_BYTES
    for part in re.split(r"^## ", PAGES["README.md"], flags=re.MULTILINE):
        assert len(part.splitlines()) <= SECTION_LINES, part.partition("\n")[0]


def test_the_tables_of_metrics_are_those_in_the_code():
    assert section("docs/metrics.md", "metrics") == metrics_markdown.markdown(), "run: make docs"


def test_the_tables_of_flags_are_those_in_the_code():
    assert section("docs/configuration.md", "flags") == flags_markdown.markdown(), "run: make docs"


def test_every_flag_of_the_service_has_a_row():
    rows = re.findall(r"^\| `--([a-z.-]+)", section("docs/configuration.md", "flags"), re.MULTILINE)
    wanted = [name for of in (service, trace, unpin) for name in resolve.flags(of.parser())]
    assert rows == wanted


@pytest.mark.parametrize("page", sorted(PAGES))
def test_links_lead_to_files_and_headings_that_exist(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"https?:", link):
            continue
        path, _, anchor = link.partition("#")
        target = ((ROOT / page).parent / path).resolve() if path else ROOT / page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.relative_to(ROOT).as_posix()), link


def test_every_page_but_the_runbooks_is_in_the_index():
    pages = {page for page in PAGES if "/runbooks/" not in page} - {"README.md"}
    assert pages <= set(re.findall(r"\]\(([^)#]+)\)", PAGES["README.md"]))


@pytest.mark.parametrize("page", sorted(PAGES.keys() - {"CHANGELOG.md"}))
def test_every_flag_that_a_page_names_exists(page):
    parsers = [of.parser() for of in (service, trace, unpin, findings, catalogue)]
    known = {flag for parser in parsers for action in parser._actions for flag in action.option_strings}
    word = "[a-z]+(?:-[a-z]+)*"
    assert set(re.findall(rf"--{word}(?:\.{word})+|--(?:check|once|textfile)\b", PAGES[page])) <= known


@pytest.mark.parametrize("page", sorted(page for page in PAGES if not page.startswith("dashboards/")))
def test_every_metric_that_a_page_names_exists(page):
    known = {metric.name for metric in METRICS}
    named = set(re.findall(r"\bexec_[a-z_]+_(?:total|seconds|bytes|state|open|info)\b", PAGES[page]))
    assert named <= known


@pytest.mark.parametrize("page", sorted(PAGES))
def test_every_make_target_that_a_page_names_exists(page):
    targets = set(re.findall(r"^([a-z][a-z0-9-]*):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = set(re.findall(r"(?:^ {4}|`)make ([a-z][a-z0-9-]*)", PAGES[page], re.MULTILINE))
    assert named <= targets


def test_the_example_of_a_configuration_file_works_as_documented(tmp_path):
    file = tmp_path / "exec_exporter.yml"
    file.write_text(textwrap.dedent(section("docs/configuration.md", "configuration")))
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


def test_every_preset_is_explained():
    rows = re.findall(r"^\| `([a-z]+)` \|", table("docs/configuration.md", "| preset |"), re.MULTILINE)
    assert rows == list(PRESETS)


def test_every_reason_is_explained_and_marked_as_finding_or_not():
    lines = table("docs/novelty.md", "| reason |")
    rows = re.findall(r"^\| `([a-z_]+)` \|.*\| (yes|counted only) \|$", lines, re.MULTILINE)
    assert {reason for reason, _ in rows} == set(Reason)
    assert {reason for reason, kind in rows if kind == "counted only"} == QUIET
