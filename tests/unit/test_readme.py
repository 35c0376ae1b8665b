"""What the README says is true."""

import re
from pathlib import Path

from exporter import cli, metrics, trace

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")


def test_the_table_of_metrics_is_the_one_in_the_code():
    found = re.search(r"<!-- metrics.*?-->\n(.*?)<!-- /metrics -->", README, re.DOTALL)
    assert found
    assert found[1] == metrics.markdown(), "run: make readme"


def test_every_flag_that_it_names_exists():
    flags = {flag for of in (cli, trace) for action in of.parser()._actions for flag in action.option_strings}
    assert set(re.findall(r"--[a-z]+(?:\.[a-z-]+)+|--(?:check|path|format|once|textfile)\b", README)) <= flags
