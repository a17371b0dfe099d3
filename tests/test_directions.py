"""Imports run one way: caffe_files <- caffe_torch <- skinmtl <- tools, and from room to room of skinmtl. No circles.

What is read is the source: imports at the top of a module, in its functions, and for its annotations alone.
"""

from __future__ import annotations

import ast

import pytest
from conftest import ROOT

PYTHON, TOOLS = ROOT / "python", ROOT / "tools"
MAY_IMPORT = {
    "caffe_files": {"caffe_files"},
    "caffe_torch": {"caffe_files", "caffe_torch"},
    "skinmtl": {"caffe_files", "caffe_torch", "skinmtl"},
    "tools": {"caffe_files", "caffe_torch", "skinmtl", "tools"},  # skinmtl_tools, where pip has installed them
}
# what the lowest package does without, so that a worker process and a reader of files start fast
NOT_IN_CAFFE_FILES = {"caffe", "cv2", "matplotlib", "onnx", "safetensors", "scipy", "sklearn", "torch", "tqdm"}
# each may import those before it
ROOMS = (
    *("common", "figures", "images", "data", "regions", "layers", "nets", "onnx_graphs", "engines", "pretrained"),
    *("scores", "training", "splits", "description", "refinement", "importers", "explanation", "report", "publishing"),
    "experiment",
)


def module_name(path):
    """As it is imported; a tool as tools.NAME."""
    below = path.relative_to(ROOT if path.parent == TOOLS else PYTHON).with_suffix("")
    return ".".join(below.parts[:-1] if below.name == "__init__" else below.parts)


FILES = {module_name(path): path for path in (*PYTHON.rglob("*.py"), *TOOLS.glob("*.py"))}
TOOL_NAMES = {path.stem for path in TOOLS.glob("*.py")}


def named_by(node, module):
    """The modules that an import statement names."""
    if isinstance(node, ast.Import):
        return [each.name for each in node.names]
    origin = node.module or ""
    if node.level:
        package = module.split(".") if FILES[module].name == "__init__.py" else module.split(".")[:-1]
        origin = ".".join([*package[: len(package) - node.level + 1], *filter(None, [node.module])])
    wholes = [f"{origin}.{each.name}" for each in node.names]
    return [whole if whole in FILES else origin for whole in wholes]


def imports_of(module):
    """(imported module, line): a tool that another imports by its file's name alone is tools.NAME."""
    tree = ast.parse(FILES[module].read_text(encoding="utf-8"))
    found = []
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            for name in named_by(node, module):
                is_tool = name.split(".")[0] in TOOL_NAMES and name not in FILES
                found.append((f"tools.{name}" if is_tool else name, node.lineno))
    return found


IMPORTS = {module: imports_of(module) for module in FILES}


def told(module, imported, line):
    return f"{FILES[module].relative_to(ROOT)}, line {line}: imports {imported}"


def circle(graph):
    """One circle of a graph of names, as the names along it; nothing where there is none."""
    done = set()

    def walk(name, path):
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return []
        for other in sorted(graph.get(name, ())):
            found = walk(other, [*path, name])
            if found:
                return found
        done.add(name)
        return []

    return next(filter(None, (walk(name, []) for name in sorted(graph))), [])


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_packages_import_those_below_them_alone(package):
    upwards = [
        told(module, imported, line)
        for module in FILES
        if module.split(".")[0] == package
        for imported, line in IMPORTS[module]
        if imported.split(".")[0] in {*MAY_IMPORT, "skinmtl_tools"} - MAY_IMPORT[package]
    ]
    assert upwards == []


def test_caffe_files_needs_little():
    heavy = [
        told(module, imported, line)
        for module in FILES
        if module.split(".")[0] == "caffe_files"
        for imported, line in IMPORTS[module]
        if imported.split(".")[0] in NOT_IN_CAFFE_FILES
    ]
    assert heavy == []


def test_no_modules_import_each_other_in_a_circle():
    graph = {module: {imported for imported, _ in IMPORTS[module] if imported in FILES} for module in FILES}
    assert " -> ".join(circle(graph)) == ""


def test_every_room_of_skinmtl_has_its_place_in_the_order():
    there = {folder.name for folder in (PYTHON / "skinmtl").iterdir() if (folder / "__init__.py").is_file()}
    assert sorted(ROOMS) == sorted(there)


def test_rooms_import_those_before_them_alone():
    upwards = []
    for module in FILES:
        for imported, line in IMPORTS[module]:
            rooms = [name.split(".")[1] for name in (module, imported) if name.startswith("skinmtl.")]
            if len(rooms) == 2 and ROOMS.index(rooms[1]) > ROOMS.index(rooms[0]):
                upwards.append(told(module, imported, line))
    assert upwards == []


def test_a_circle_is_told_as_the_way_around_it():
    assert circle({"a": {"b"}, "b": {"c", "d"}, "c": set(), "d": {"b"}}) == ["b", "d", "b"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_no_two_files_of_tests_have_one_name():
    """pytest takes two such files for one module, and stops before any test."""
    names = [path.name for path in (ROOT / "tests").rglob("*.py")]
    assert sorted(names) == sorted(set(names))
