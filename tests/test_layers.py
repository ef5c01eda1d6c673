"""Imports run one way: a module imports from layers below its own, or from its own package."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "reddit"

# From bottom to top. A name stands for a module, or for a package with all its modules.
LAYERS: list[set[str]] = [
    {"reddit.utils"},
    {"reddit.ablations", "reddit.config"},
    {"reddit.diffusion"},
    {"reddit.image"},
    {"reddit.models"},
    {"reddit.data"},
    {"reddit.metrics"},
    {"reddit.report"},
    {"reddit.methods"},
    {"reddit.checkpoint"},
    {"reddit.inference"},
    {"reddit.training"},
    {"reddit.evaluation"},
    {"reddit.reproduce"},
    {"reddit.cli"},
    {"reddit", "reddit.__main__"},  # what a user imports
]
# Functions here receive values, never the configuration.
WITHOUT_CONFIG = {
    "reddit.diffusion",
    "reddit.image",
    "reddit.inference.tiling",
    "reddit.methods.losses",
    "reddit.methods.retinex",
    "reddit.metrics",
    "reddit.models",
    "reddit.report",
    "reddit.utils",
}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports(path: Path, module: str, known: set[str]) -> set[str]:
    """The modules of the package that a file imports, wherever in the file, by their full names."""
    found = set()
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            source = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                source = ".".join([*above, *([source] if source else [])])
            for alias in node.names:
                inner = f"{source}.{alias.name}"
                if inner in known:
                    found.add(inner)
                elif inner != "reddit.__version__":  # a number, which every layer may print
                    found.add(source)
    return {name for name in found if name.split(".")[0] in ("reddit", "scripts")} - {module}


GRAPH = {name: imports(path, name, set(FILES)) for name, path in FILES.items()}


def unit(module: str) -> str:
    """The module or package that stands in LAYERS."""
    return ".".join(module.split(".")[:2])


def layer(module: str) -> int | None:
    return next((number for number, names in enumerate(LAYERS) if unit(module) in names), None)


def cycle(graph: dict[str, set[str]]) -> list[str]:
    """A way from a module back to itself; empty if there is none."""
    done: set[str] = set()

    def visit(module: str, way: list[str]) -> list[str]:
        if module in way:
            return [*way[way.index(module) :], module]
        if module not in done:
            for below in sorted(graph.get(module, ())):
                if found := visit(below, [*way, module]):
                    return found
            done.add(module)
        return []

    return next((found for module in sorted(graph) if (found := visit(module, []))), [])


def test_no_module_is_in_two_layers() -> None:
    names = [name for layer_names in LAYERS for name in layer_names]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("module", FILES)
def test_every_module_has_a_layer(module: str) -> None:
    assert layer(module) is not None, (
        f"{module} is in no layer: add {unit(module)} to LAYERS in tests/test_layers.py, above everything "
        f"that it imports ({', '.join(sorted(map(unit, GRAPH[module]))) or 'nothing of this package'})"
    )


@pytest.mark.parametrize("module", FILES)
def test_imports_come_from_below(module: str) -> None:
    own = layer(module)
    for below in sorted(GRAPH[module]):
        if unit(below) == unit(module):
            continue
        theirs = layer(below)
        assert own is None or theirs is None or theirs < own, (
            f"{module} (layer {own}) imports {below} (layer {theirs}): imports must come from lower layers"
        )


def test_no_cycles() -> None:
    assert cycle(GRAPH) == []


@pytest.mark.parametrize("module", FILES)
def test_nothing_imports_the_scripts(module: str) -> None:
    assert not [name for name in GRAPH[module] if name.split(".")[0] == "scripts"]


@pytest.mark.parametrize("module", [m for m in FILES if {m, unit(m)} & WITHOUT_CONFIG])
def test_functions_receive_values_not_the_configuration(module: str) -> None:
    assert "reddit.config" not in map(unit, GRAPH[module])


@pytest.mark.parametrize("path", sorted((ROOT / "scripts").glob("*.py")), ids=lambda path: path.name)
def test_scripts_import_modules_that_exist(path: Path) -> None:
    names = {name for name in imports(path, path.stem, set(FILES)) if name.split(".")[0] == "reddit"}
    assert names
    assert not names - set(FILES)


# The checks themselves


def test_a_cycle_is_found() -> None:
    assert cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert cycle({"a": {"a2", "b"}, "a2": {"b"}, "b": set()}) == []


def test_imports_are_found(tmp_path: Path) -> None:
    path = tmp_path / "file.py"
    path.write_text(
        "import numpy\nfrom reddit import __version__, config\nfrom reddit.data import Pair\n"
        "from . import ablations\nfrom .data import pairs\n"
        "\ndef f():\n    import scripts.evaluate\n    from ..other import x\n"
    )
    known = {"reddit.config", "reddit.data", "reddit.data.pairs", "reddit.ablations"}
    found = imports(path, "reddit.file", known)
    assert found == {*known, "scripts.evaluate"}
