"""The table in docs/kernels.md: facts of each kernel on which the whole tier passed, all with the same sources.

Facts are kept between runs, so that a single kernel can be run again; facts of other sources are discarded.
"""

import hashlib
import json
import platform
import re
from dataclasses import dataclass

from tests.vm.kernels import MATRIX
from tests.vm.user_space import CHECKOUT

PAGE = CHECKOUT / "docs/kernels.md"
KEPT = CHECKOUT / ".cache/support"
BEGIN = "<!-- kernels: made by make test-kernels -->\n"
END = "<!-- /kernels -->\n"
# fmt: off
COLUMNS = (
    "Linux", "machine", "user space", "fields", "scripts", "failures", "typed loads", "lacks", "verified",
)
# fmt: on
ARGUMENTS = 16


@dataclass(frozen=True)
class Here:
    """The kernel of this machine, under another user space."""

    name: str
    release: str = platform.release()


DEBIAN_13 = Here("debian13")


def digest_of_sources(checkout=CHECKOUT):
    """Return a digest of the sources of the probe and the exporter."""
    digest = hashlib.sha256()
    for path in sorted([*checkout.glob("bpf/*.[ch]"), *checkout.glob("exporter/**/*.py")]):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(checkout)} {len(content)}\n".encode() + content)
    return digest.hexdigest()


class Support:
    """Facts of kernels, for the sources at the beginning of the run."""

    def __init__(self, checkout=CHECKOUT, kept=KEPT):
        self._checkout = checkout
        self._sources = digest_of_sources(checkout)
        self._directory = kept / self._sources

    def keep(self, name, facts):
        """Store facts of a kernel on which the whole tier has passed."""
        assert digest_of_sources(self._checkout) == self._sources, "sources have changed while guests ran them"
        self._directory.mkdir(parents=True, exist_ok=True)
        self._file(name).write_text(json.dumps(facts), "utf-8")

    def forget(self, name):
        """Remove the facts of a kernel, until the tier passes again."""
        self._file(name).unlink(missing_ok=True)

    def of(self, kernels):
        """Return facts by name, of those kernels whose current release has passed."""
        files = {kernel: self._file(kernel.name) for kernel in kernels}
        found = {kernel: json.loads(file.read_text("utf-8")) for kernel, file in files.items() if file.exists()}
        return {kernel.name: facts for kernel, facts in found.items() if facts["release"] == kernel.release}

    def publish(self, page=PAGE):
        """Write the table if there are facts of the whole matrix."""
        found = self.of((*MATRIX, DEBIAN_13))
        if all(kernel.name in found for kernel in MATRIX):
            write(found, page)

    def _file(self, name):
        return self._directory / f"{name}.json"


def table(support):
    """Return a Markdown table with a row for each of the facts, in the given order."""
    lines = [row(COLUMNS), row("---" for _ in COLUMNS)]
    lines += [row(cells(facts)) for facts in support.values()]
    return "".join(lines)


def cells(facts):
    """Return the cells of a row, in the order of COLUMNS. The hook in use is the first that would work."""
    first, *others = facts["hooks"] or ["no"]
    yield facts["release"]
    yield facts["machine"]
    yield f"Python {facts['python']}, BCC {facts['bcc']}"
    yield "all" if facts["fields"] == ARGUMENTS else f"{facts['fields']} of {ARGUMENTS}"
    yield ", ".join([f"**{first}**" if facts["hooks"] else first, *others])
    yield facts["failures"] or "no"
    yield "yes" if facts["typed"] else "no"
    yield ", ".join(f"`{name}`" for name in facts["missing"]) or "nothing"
    yield f"{facts['verified'] / 10_000:.0f} %" if facts["verified"] else "not reported"


def row(texts):
    """Return a line of a table."""
    return f"| {' | '.join(texts)} |\n"


def rows(page=PAGE):
    """Return the rows of the page, as lists of cells."""
    text = page.read_text("utf-8").partition(BEGIN)[2].partition(END)[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()[2:]]


def write(support, page=PAGE):
    """Write the table to its section of the page."""
    text = page.read_text("utf-8")
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    assert pattern.search(text), f"{page} has no place for the table of kernels"
    page.write_text(pattern.sub(lambda _: BEGIN + table(support) + END, text), "utf-8")
