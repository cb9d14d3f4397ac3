"""Claims: neither modules nor rooms of the package import each other in a circle; no room is most of the house."""

import ast
import importlib
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import lcmem

ROOT = Path(lcmem.__file__).parent
MODULES = {".".join(path.relative_to(ROOT.parent).with_suffix("").parts): path for path in ROOT.rglob("*.py")}
MODULES = {name.removesuffix(".__init__"): path for name, path in MODULES.items()}


class Imports(ast.NodeVisitor):
    """Modules that run when one runs, inside functions as well; not those of ``if TYPE_CHECKING:``."""

    def __init__(self, module):
        self.found = set()
        self.visit(ast.parse(MODULES[module].read_text(encoding="utf-8")))
        self.found -= {module}

    def visit_If(self, node):
        if "TYPE_CHECKING" not in ast.unparse(node.test):
            self.generic_visit(node)

    def visit_Import(self, node):
        self.found |= {alias.name for alias in node.names} & MODULES.keys()

    def visit_ImportFrom(self, node):
        full = {f"{node.module}.{alias.name}" for alias in node.names} & MODULES.keys()
        self.found |= full or {node.module} & MODULES.keys()


IMPORTS = {module: Imports(module).found for module in MODULES}


def room(module):
    """``lcmem.scan`` of ``lcmem.scan.engine``; a file beside the rooms is a room of its own."""
    return ".".join(module.split(".")[:2])


def circle(graph):
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return " -> ".join(reversed(error.args[1]))
    return ""


def test_a_circle_would_be_seen():
    assert circle({"a": {"b"}, "b": {"a"}}) and not circle({"a": {"b"}, "b": {"c"}})
    assert "lcmem.report.html" in IMPORTS["lcmem.jobs.audit.result"] | IMPORTS["lcmem.report"]


def test_no_circle_between_modules():
    assert not circle(IMPORTS)


def test_no_circle_between_rooms():
    """So the rooms have an order, and no import runs up."""
    rooms = {}
    for module, needed in IMPORTS.items():
        rooms.setdefault(room(module), set()).update(room(other) for other in needed if room(other) != room(module))
    assert not circle({name: needed - {"lcmem"} for name, needed in rooms.items() if name != "lcmem"})


def test_no_room_is_most_of_the_house():
    lines = {}
    for module, path in MODULES.items():
        lines[room(module)] = lines.get(room(module), 0) + len(path.read_text(encoding="utf-8").splitlines())
    largest = max(lines, key=lines.__getitem__)
    assert lines[largest] < 0.15 * sum(lines.values()), (largest, lines[largest])


@pytest.mark.parametrize("folder", ["benchmarks", "tests", "tools"])
def test_what_stands_beside_the_package_finds_its_names(folder):
    """None of these is run by the type checker, and benchmarks by nobody but people."""
    for path in sorted((ROOT.parent.parent / folder).glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "lcmem":
                module = importlib.import_module(str(node.module))
                for name in (alias.name for alias in node.names):
                    known = hasattr(module, name) or f"{node.module}.{name}" in MODULES
                    assert known, f"{path.name} wants {name} of {node.module}"
