"""The rooms of exporter/ import one way only, and bcc is imported in one module (exporter/README.md)."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "exporter"
# Each room may import those of earlier lines and, of its own line, itself.
ORDER = (
    {"errors", "escape", "logs"},
    {"streams"},
    {"host", "config"},
    {"kernel"},
    {"compiler"},
    {"probe"},
    {"events"},
    {"catalogue"},
    {"novelty", "metrics"},
    {"collectors", "web"},
    {"commands"},
    {"service"},
    {"__main__"},
)
FLOOR = {room: number for number, rooms in enumerate(ORDER) for room in rooms}
MODULES = {
    path.relative_to(PACKAGE).with_suffix("").as_posix().removesuffix("/__init__").replace("/", "."): path
    for path in PACKAGE.rglob("*.py")
    if path.parent != PACKAGE or path.name != "__init__.py"
}


def imports(name):
    """Return the modules of exporter that a module imports, TYPE_CHECKING and functions included, and all others."""
    for node in ast.walk(ast.parse(MODULES[name].read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = (
                node.module.removeprefix("exporter").removeprefix(".") if node.module.startswith("exporter") else None
            )
            if inside is None:
                yield node.module
            else:
                yield from (
                    full if (full := f"{inside}.{a.name}".strip(".")) in MODULES else inside for a in node.names
                )


@pytest.mark.parametrize("name", sorted(MODULES))
def test_a_module_imports_only_rooms_to_its_left(name):
    room = name.partition(".")[0]
    for other in set(imports(name)) & MODULES.keys():
        to = other.partition(".")[0]
        assert to == room or FLOOR[to] < FLOOR[room], f"{name} imports {other}"


def test_no_modules_import_each_other_in_a_circle():
    imported = {name: set(imports(name)) & MODULES.keys() - {name} for name in MODULES}
    while free := {name for name, others in imported.items() if not others}:
        imported = {name: others - free for name, others in imported.items() if name not in free}
    assert not imported


def test_bcc_is_imported_in_one_module():
    assert [name for name in sorted(MODULES) if "bcc" in imports(name)] == ["compiler.compile"]
