"""exporter/README.md describes the rooms and modules that exist."""

import ast
import re
from pathlib import Path

from tests.unit.test_import_direction import ORDER

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "exporter"
PAGE = (PACKAGE / "README.md").read_text("utf-8")
ROOMS = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))
MOST_WORDS = 20


def rows(header):
    """Return the rows of the table that begins with a header."""
    table = PAGE[PAGE.index(header) :].partition("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def test_the_line_of_rooms_is_the_order_that_imports_follow():
    (line,) = re.findall(r"^ {4}(errors .* __main__)$", PAGE, re.MULTILINE)
    assert [set(names.split()) for names in line.split("<")] == list(ORDER)


def test_every_room_is_described_by_its_docstring():
    docstrings = {room: ast.get_docstring(ast.parse((PACKAGE / room / "__init__.py").read_text())) for room in ROOMS}
    assert f"{len(ROOMS)} packages" in PAGE
    assert {name.partition("]")[0].strip("["): text for name, text in rows("| room |")} == docstrings


def test_the_rows_of_rooms_are_in_the_order_of_the_line():
    floors = {room: number for number, names in enumerate(ORDER) for room in names}
    numbers = [floors[name.partition("]")[0].strip("[")] for name, _ in rows("| room |")]
    assert numbers == sorted(numbers)


def test_every_module_that_is_named_exists():
    named = re.findall(r"`((?:\w+/)*\w+\.(?:py|c|h))`", PAGE)
    assert named
    for name in named:
        base = ROOT if name.startswith("bpf/") else PACKAGE
        assert (base / name).is_file(), name


def test_every_name_that_is_documented_in_a_module_exists():
    for name, module in re.findall(r"`([A-Z]\w+)(?:\.\w+)?` in `([\w/]+\.py)`", PAGE):
        assert re.search(rf"\b{name}\b", (PACKAGE / module).read_text("utf-8")), (name, module)


def test_the_glossary_is_short_and_its_words_are_used_in_the_code():
    words = [word for word, _ in rows("| word |")]
    code = "\n".join(path.read_text("utf-8") for path in PACKAGE.rglob("*.py")).lower()
    assert len(words) <= MOST_WORDS
    assert words == sorted(words)
    assert [word for word in words if not re.search(rf"\b{word}s?\b", code)] == []
