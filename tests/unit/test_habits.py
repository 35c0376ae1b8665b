"""`make`, the hooks and the change log each follow one source."""

import re
import subprocess
from pathlib import Path

import yaml

from exporter import __version__

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
KINDS = {"FEATURE", "ENHANCEMENT", "BUGFIX", "CHANGE"}


def make(*arguments):
    command = ["make", "--no-print-directory", f"--directory={ROOT}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_make_alone_prints_the_documented_targets_and_runs_nothing_else():
    documented = re.findall(r"^## .*\n([a-z][a-z0-9-]*):", MAKEFILE, re.MULTILINE)
    assert {"run", "test"} <= set(documented)
    assert re.findall(r"^ {2}make (\S+) +\S", make(), re.MULTILINE) == documented
    assert make("--dry-run") == make("--dry-run", "help")


def test_the_hooks_are_the_linters_of_make_lint():
    (linters,) = re.findall(r"^lint: (.*)$", MAKEFILE, re.MULTILINE)
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"]
    assert repository["repo"] == "local"
    assert [hook["entry"] for hook in repository["hooks"]] == [f"make {linter}" for linter in linters.split()]


def test_the_change_log_begins_with_this_version_and_marks_the_kind_of_each_change():
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    versions = re.findall(r"^## (\S+)", text, re.MULTILINE)
    assert versions[0] in (__version__, "Unreleased")
    changes = re.findall(r"^- (.*)$", text, re.MULTILINE)
    assert {kind for change in changes for kind in re.findall(r"^\[([A-Z]+)\] ", change) or [change]} <= KINDS
