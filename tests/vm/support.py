"""The support table in the README: what the last run of the whole matrix found."""

import re
from pathlib import Path

README = Path(__file__).resolve().parents[2] / "README.md"
BEGIN = "<!-- kernels: made by make test-kernels -->\n"
END = "<!-- /kernels -->\n"

# Facts by the name of the kernel, of those whose tests passed in this run.
SUPPORT = {}


def table(support):
    """The rows that are there, as Markdown."""
    lines = [
        "| Linux | machine | user space | program type | scripts by their own file | lacks |",
        "|---|---|---|---|---|---|",
    ]
    for facts in support.values():
        hooks = ", ".join(f"**{hook}**" if hook == facts["hook"] else hook for hook in facts["hooks"]) or "no"
        missing = ", ".join(f"`{name}`" for name in facts["missing"]) or "nothing"
        user_space = f"Python {facts['python']}, BCC {facts['bcc']}"
        cells = facts["release"], facts["machine"], user_space, facts["program_type"], hooks, missing
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def write(support, readme=README):
    """Puts the table into its place in the README."""
    text = readme.read_text("utf-8")
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    assert pattern.search(text), f"{readme} has no place for the table of kernels"
    readme.write_text(pattern.sub(lambda _: BEGIN + table(support) + END, text), "utf-8")
