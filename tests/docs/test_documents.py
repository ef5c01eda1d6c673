"""Links, paths and names in the documents exist; dates and stories stay in docs/reports."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest
import torch
from documents import DOCUMENTS, USER_DOCUMENTS, anchors, blocks, named, prose, rows, section
from repository import ROOT

from reddit.data import layouts
from reddit.data.pairing import find_pairs
from reddit.image.write import write_image

README = ROOT / "README.md"
DATE = re.compile(r"\b(19|20)\d\d-\d\d(-\d\d)?\b")
HASH = re.compile(r"\b(?=[0-9a-f]*[0-9])(?=[0-9a-f]*[a-f])[0-9a-f]{7,40}\b")


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_links_resolve(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(path.read_text())):
        if target.startswith(("http://", "https://")):
            continue
        file, _, anchor = target.partition("#")
        there = (path.parent / file).resolve() if file else path
        assert there.exists(), target
        if anchor:
            assert anchor in anchors(there.read_text()), target


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_paths_exist(path: Path) -> None:
    made = {"reddit/methods/whole_sample.py"}  # by the exercise
    for name in re.findall(r"`((?:reddit|tests|docs|configs|scripts|benchmarks)/[\w./]*)`", path.read_text()):
        assert name in made or (ROOT / name).exists(), name


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_names_exist(path: Path) -> None:
    for name in re.findall(r"`(reddit(?:\.\w+)+)`", prose(path.read_text())):
        assert resolves(name), name


def resolves(name: str) -> bool:
    """Whether a dotted name is a module of the package or something inside one."""
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:cut]))
        except ImportError:
            continue
        for part in parts[cut:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False


def test_a_missing_name_is_seen() -> None:
    assert resolves("reddit.methods.retinex.refine")
    assert not resolves("reddit.methods.retinex.refined")
    assert not resolves("reddit.nothing.here")


@pytest.mark.parametrize("path", USER_DOCUMENTS, ids=named)
def test_no_dates_and_no_commits(path: Path) -> None:
    text = path.read_text()
    assert not DATE.search(text)
    assert not HASH.search(text)


@pytest.mark.parametrize("path", [README, *ROOT.glob("docs/*.md")], ids=named)
def test_python_blocks_are_python(path: Path) -> None:
    for block in blocks(path.read_text(), "python"):
        ast.parse(block)


# The README


def test_readme_is_short() -> None:
    assert len(README.read_text().split()) <= 600


def test_first_screen() -> None:
    """Pictures, two commands, three lines of Python and a line of numbers, before the first section."""
    first = README.read_text().split("\n## ")[0]
    assert "](docs/before_after.jpg)" in first
    (commands,) = blocks(first, "bash")
    assert commands.count("\n") == 2
    (python,) = blocks(first, "python")
    assert len([line for line in python.splitlines() if line]) == 3
    assert re.search(r"PSNR \d", first)
    assert len(first.splitlines()) <= 30


def test_readme_names_the_three_commands() -> None:
    text = README.read_text()
    for command in (
        "python scripts/train_teacher.py -c configs/lolv1.yaml",
        "python scripts/distill.py --steps 4",
        "python scripts/evaluate.py --dataset lolv2_real",
        "make test",
    ):
        assert re.search(rf"^{re.escape(command)}( |$)", text, re.MULTILINE), command


def test_every_document_is_linked_from_the_readme() -> None:
    for path in (ROOT / "docs").glob("*.md"):
        assert f"](docs/{path.name})" in README.read_text(), path.name


# docs/extending.md


def test_ten_questions() -> None:
    answers = rows(
        section((ROOT / "docs/extending.md").read_text(), "## Ten questions and where the answer is")
    )
    questions = [row for row in answers if row[0].endswith("?")]
    assert len(questions) == 10
    for question, file, names in questions:
        tree = ast.parse((ROOT / file.strip("`")).read_text())
        defined = {node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
        assert set(re.findall(r"`(\w+)`", names)) <= defined, question


def test_rooms_are_listed_from_bottom_to_top() -> None:
    from test_layers import LAYERS

    text = section((ROOT / "docs/extending.md").read_text(), "## Ten questions and where the answer is")
    table = text[text.index("| folder |") :]
    listed = [set(re.findall(r"`reddit/(\w+)(?:\.py)?`", row[0])) for row in rows(table)]
    assert listed == [{name.split(".")[-1] for name in layer} for layer in LAYERS if "reddit" not in layer]


def test_the_example_of_a_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = section((ROOT / "docs/extending.md").read_text(), "## A data set")
    (block,) = blocks(text, "python")
    layout = eval(block, {"Layout": layouts.Layout})
    monkeypatch.setitem(layouts.LAYOUTS, layout.name, layout)
    for side in ("low", "high"):
        write_image(tmp_path / "Mine/train" / side / "1.png", torch.zeros(3, 4, 4))
    assert [pair.name for pair in find_pairs("mine", tmp_path, "train")] == ["1"]


# docs/datasets.md


def test_every_data_set_has_a_row_with_its_counts() -> None:
    table = {row[0].strip("`"): row for row in rows((ROOT / "docs/datasets.md").read_text())}
    assert table.keys() == layouts.LAYOUTS.keys()
    for name, layout in layouts.LAYOUTS.items():
        cells = dict(zip(("train", "test"), table[name][2:4], strict=True))
        for split, counts in layout.counts.items():
            assert [int(n) for n in re.findall(r"\d+", cells[split])] == list(counts), name


# docs/method.md


def test_every_equation_has_a_function() -> None:
    table = rows(section((ROOT / "docs/method.md").read_text(), "## Equations"))
    numbers = {int(n) for row in table for n in re.findall(r"\d+", row[0])}
    assert numbers == set(range(1, 13))
    for _, _, names in table:
        for name in re.findall(r"`([\w.]+)`", names):
            assert resolves(name), name
