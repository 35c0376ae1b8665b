"""The table in docs/kernels.md has facts of each kernel of the matrix, all with the same sources."""

import copy
from dataclasses import dataclass

import pytest

from tests.vm import support
from tests.vm.kernels import MATRIX, PORTS
from tests.vm.support import BEGIN, COLUMNS, DEBIAN_13, END, Support, rows, table, write

FACTS = {
    "release": "6.1.0-1",
    "machine": "x86_64",
    "python": "3.11.2",
    "bcc": "0.26.0",
    "missing": ["backing_file"],
    "fields": 16,
    "hooks": ["fentry", "kprobe"],
    "failures": "fexit",
    "typed": True,
    "verified": 803_303,
}
NOTHING = {**FACTS, "release": "5.10.0-1", "missing": [], "fields": 12, "hooks": []}
NOTHING |= {"failures": "", "typed": False, "verified": None}
EXPECTED = """\
| Linux | machine | user space | fields | scripts | failures | typed loads | lacks | verified |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
| 6.1.0-1 | x86_64 | Python 3.11.2, BCC 0.26.0 | all | **fentry**, kprobe | fexit | yes | `backing_file` | 80 % |
| 5.10.0-1 | x86_64 | Python 3.11.2, BCC 0.26.0 | 12 of 16 | no | no | no | nothing | not reported |
"""


def test_the_same_facts_make_the_same_table(tmp_path):
    facts = {"6.1": FACTS, "5.10": NOTHING}
    page = tmp_path / "kernels.md"
    page.write_text(f"before\n{BEGIN}{END}after\n")
    assert table(facts) == EXPECTED
    write(facts, page)
    once = page.read_text()
    write(copy.deepcopy(facts), page)
    assert page.read_text() == once == f"before\n{BEGIN}{EXPECTED}{END}after\n"
    assert [cells[0] for cells in rows(page)] == ["6.1.0-1", "5.10.0-1"]


@dataclass(frozen=True)
class Kernel:
    name: str
    release: str


OLD, NEW = Kernel("5.10", "5.10.0-1"), Kernel("6.1", "6.1.0-1")


@pytest.fixture
def begun(tmp_path):
    """Return a function that begins runs of the matrix over sources that the test can change."""
    for name in ("bpf/exec.c", "exporter/kernel/map_reader.py"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("first\n")
    return lambda: Support(tmp_path, tmp_path / "kept")


def test_facts_are_kept_for_later_runs_in_the_order_of_the_matrix(begun):
    begun().keep(NEW.name, FACTS)
    assert begun().of((OLD, NEW)) == {NEW.name: FACTS}
    begun().keep(OLD.name, NOTHING)
    assert list(begun().of((OLD, NEW)).items()) == [(OLD.name, NOTHING), (NEW.name, FACTS)]


def test_facts_of_a_kernel_that_is_run_again_or_has_another_release_are_void(begun):
    begun().keep(OLD.name, NOTHING)
    begun().keep(NEW.name, FACTS)
    assert begun().of((OLD, Kernel(NEW.name, "6.1.0-2"))) == {OLD.name: NOTHING}
    begun().forget(OLD.name)
    assert begun().of((OLD, NEW)) == {NEW.name: FACTS}


@pytest.mark.parametrize("source", ["bpf/exec.c", "exporter/kernel/map_reader.py", "exporter/new.py"])
def test_facts_of_other_sources_are_void(begun, tmp_path, source):
    before = begun()
    before.keep(NEW.name, FACTS)
    (tmp_path / source).write_text("second\n")
    assert begun().of((OLD, NEW)) == {}
    with pytest.raises(AssertionError, match="sources have changed"):
        before.keep(OLD.name, NOTHING)


def test_the_table_is_written_once_all_of_the_matrix_have_passed(begun, tmp_path, monkeypatch):
    monkeypatch.setattr(support, "MATRIX", (OLD, NEW))
    page = tmp_path / "kernels.md"
    page.write_text(f"{BEGIN}{END}")
    for name, facts in ((DEBIAN_13.name, {**FACTS, "release": DEBIAN_13.release}), (NEW.name, FACTS)):
        begun().keep(name, facts)
        begun().publish(page)
        assert rows(page) == []
    begun().keep(OLD.name, NOTHING)
    begun().publish(page)
    assert [cells[0] for cells in rows(page)] == [OLD.release, NEW.release, DEBIAN_13.release]


def test_the_page_has_every_kernel_of_the_matrix():
    found = [(cells[0], PORTS[cells[1]]) for cells in rows()]
    assert all(len(cells) == len(COLUMNS) for cells in rows())
    assert len(found) in (len(MATRIX), len(MATRIX) + 1)  # Debian 13's user space has a row of its own
    for (release, arch), kernel in zip(found, MATRIX, strict=False):
        assert release.startswith(f"{kernel.series}.")
        assert ("-rt-" in release) == (kernel.flavour == "rt")
        assert arch == kernel.arch
