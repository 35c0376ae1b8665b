"""The table in docs/kernels.md: what each kernel said when the whole tier passed there, all with the same sources.

Facts are kept from run to run, so that a kernel can be run again alone; other sources make them void.
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
    """The kernel that runs here, under another user space."""

    name: str
    release: str = platform.release()


DEBIAN_13 = Here("debian13")


def digest_of_sources(checkout=CHECKOUT):
    """What tells one state of the probe and the exporter from another."""
    digest = hashlib.sha256()
    for path in sorted([*checkout.glob("bpf/*.[ch]"), *checkout.glob("exporter/**/*.py")]):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(checkout)} {len(content)}\n".encode() + content)
    return digest.hexdigest()


class Support:
    """The facts of kernels, for the sources as they are when a run begins."""

    def __init__(self, checkout=CHECKOUT, kept=KEPT):
        self._checkout = checkout
        self._sources = digest_of_sources(checkout)
        self._directory = kept / self._sources

    def keep(self, name, facts):
        """Facts of a kernel on which the whole tier has passed."""
        assert digest_of_sources(self._checkout) == self._sources, "sources have changed while guests ran them"
        self._directory.mkdir(parents=True, exist_ok=True)
        self._file(name).write_text(json.dumps(facts), "utf-8")

    def forget(self, name):
        """Until it has passed again, nothing is known of a kernel."""
        self._file(name).unlink(missing_ok=True)

    def of(self, kernels):
        """The facts by name, of those kernels whose present release has passed."""
        files = {kernel: self._file(kernel.name) for kernel in kernels}
        found = {kernel: json.loads(file.read_text("utf-8")) for kernel, file in files.items() if file.exists()}
        return {kernel.name: facts for kernel, facts in found.items() if facts["release"] == kernel.release}

    def publish(self, page=PAGE):
        """Writes the table, once there are the facts of all the matrix."""
        found = self.of((*MATRIX, DEBIAN_13))
        if all(kernel.name in found for kernel in MATRIX):
            write(found, page)

    def _file(self, name):
        return self._directory / f"{name}.json"


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
    yield ", ".join(f"`{name}`" for name in facts["missing"]) or "nothing"
    yield f"{facts['verified'] / 10_000:.0f} %" if facts["verified"] else "not reported"


def row(texts):
    """A line of a table."""
    return f"| {' | '.join(texts)} |\n"


def rows(page=PAGE):
    """The rows of the page, as lists of cells."""
    text = page.read_text("utf-8").partition(BEGIN)[2].partition(END)[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()[2:]]


def write(support, page=PAGE):
    """Puts the table into its place in the page."""
    text = page.read_text("utf-8")
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    assert pattern.search(text), f"{page} has no place for the table of kernels"
    page.write_text(pattern.sub(lambda _: BEGIN + table(support) + END, text), "utf-8")
