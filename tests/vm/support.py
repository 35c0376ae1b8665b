"""The support table in the README: what the last run of the whole matrix found."""

import re
from pathlib import Path

README = Path(__file__).resolve().parents[2] / "README.md"
BEGIN = "<!-- kernels: made by make test-kernels -->\n"
END = "<!-- /kernels -->\n"
# fmt: off
COLUMNS = (
    "Linux", "machine", "user space", "fields", "scripts", "failures", "typed loads", "batches", "lacks", "verified",
)
# fmt: on
ARGUMENTS = 16

# Facts by the name of the kernel, of those whose tests passed in this run.
SUPPORT = {}


def table(support):
    """A row for each of the facts, as Markdown, in the order in which they are given."""
    lines = [row(COLUMNS), row("---" for _ in COLUMNS)]
    lines += [row(cells(facts)) for facts in support.values()]
    return "".join(lines)


def cells(facts):
    """What a row says, in the order of COLUMNS. The hook that is used is the first of those that would do."""
    first, *others = facts["hooks"] or ["no"]
    yield facts["release"]
    yield facts["machine"]
    yield f"Python {facts['python']}, BCC {facts['bcc']}"
    yield "all" if facts["fields"] == ARGUMENTS else f"{facts['fields']} of {ARGUMENTS}"
    yield ", ".join([f"**{first}**" if facts["hooks"] else first, *others])
    yield facts["failures"] or "no"
    yield "yes" if facts["typed"] else "no"
    yield "yes" if facts["batch"] else "no"
    yield ", ".join(f"`{name}`" for name in facts["missing"]) or "nothing"
    yield f"{facts['verified'] / 10_000:.0f} %" if facts["verified"] else "not said"


def row(texts):
    """A line of a table."""
    return f"| {' | '.join(texts)} |\n"


def rows(readme=README):
    """The rows that the README has, as lists of cells."""
    text = readme.read_text("utf-8").partition(BEGIN)[2].partition(END)[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()[2:]]


def write(support, readme=README):
    """Puts the table into its place in the README."""
    text = readme.read_text("utf-8")
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    assert pattern.search(text), f"{readme} has no place for the table of kernels"
    readme.write_text(pattern.sub(lambda _: BEGIN + table(support) + END, text), "utf-8")
