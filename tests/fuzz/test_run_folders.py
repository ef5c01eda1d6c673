"""Damaged run folders: a run is resumed with finite weights, or refused in one line; searches go on."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from drawing import drawing, junk, mutated_bytes, refused
from hypothesis import given
from hypothesis import strategies as st
from tiny_runs import Run, settings, student

from reddit.checkpoint.format import load_state, read_info, save_state
from reddit.checkpoint.registry import all_models, find_checkpoint
from reddit.config import Config
from reddit.training.logging import read_log
from reddit.training.run_folder import changed_settings, known_teacher, remember_teacher, state_to_resume
from reddit.training.state import read_progress

STEPS = settings(iterations=4, checkpoint_every=2, validate_every=2)
FILES = ("config.yaml", "log.jsonl", "teacher.json", *(f"checkpoints/{name}" for name in (
    "state.pt", "best.safetensors", "last.safetensors")))  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a student that has some steps still to do."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    Run(folder, student, settings(iterations=2, checkpoint_every=2, validate_every=2)).go()
    (folder / "config.yaml").write_text(Config().to_yaml())
    remember_teacher(folder, read_info(folder / "checkpoints" / "best.safetensors"))
    return folder


def copied(whole: Path, folder: Path) -> Path:
    shutil.rmtree(folder / "runs", ignore_errors=True)
    shutil.copytree(whole, folder / "runs" / "tiny")
    return folder / "runs" / "tiny"


def check(folder: Path, resume: bool = True) -> None:
    """See that everything that reads a run folder gives an answer or one line; and resume the run."""
    checkpoints = folder / "checkpoints"
    assert all(isinstance(key, str) for key in changed_settings(folder, Config()))
    for line in read_log(folder):
        assert isinstance(line["kind"], str)
        float(line["iteration"])
    refused(lambda: known_teacher(folder))
    for model in all_models(folder.parent):
        refused(lambda: remember_teacher(folder, model))  # noqa: B023
    refused(lambda: find_checkpoint("tiny", folder.parent))
    before = {path: path.read_bytes() for path in checkpoints.glob("*.safetensors") if path.is_file()}
    state = refused(lambda: state_to_resume(folder))
    if state is None:
        assert {path: path.read_bytes() for path in before} == before
        return
    refused(lambda: read_progress(state))
    if resume and refused(lambda: Run(folder, student, STEPS).go()):
        saved = load_state(checkpoints / "state.pt")
        for part in ("denoiser", "average"):
            assert all(tensor.isfinite().all() for tensor in saved[part].values())
        assert read_info(checkpoints / "last.safetensors").iteration >= 2


@drawing(20)
@given(data=st.data(), names=st.lists(st.sampled_from(FILES), min_size=1, max_size=2))
def test_bytes(data: st.DataObject, names: list[str], whole: Path, tmp_path: Path) -> None:
    folder = copied(whole, tmp_path)
    for name in names:
        (folder / name).write_bytes(data.draw(mutated_bytes((folder / name).read_bytes())))
    check(folder, resume=any(name.endswith((".pt", ".jsonl", ".safetensors")) for name in names))


DAMAGE: dict[str, Callable[[Path], object]] = {
    "gone": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "text": lambda path: path.write_text("mine\n"),
    "a list": lambda path: path.write_text("[1, 2]\n"),
    "deep": lambda path: path.write_text("[" * 10_000),
    "a pipe": lambda path: (path.unlink(), os.mkfifo(path)),
    "not UTF-8": lambda path: path.write_bytes(b"\xff\xfe\x00"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
@pytest.mark.parametrize("name", FILES)
def test_files(name: str, damage: Callable[[Path], object], whole: Path, tmp_path: Path) -> None:
    folder = copied(whole, tmp_path)
    damage(folder / name)
    check(folder)


def leaves(tree: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where the values of nested dictionaries are, and the dictionaries themselves."""
    inner = (
        [found for key, value in tree.items() for found in leaves(value, (*place, key))]
        if isinstance(tree, dict)
        else []
    )
    return [place, *inner] if place else inner


tensors = st.builds(
    lambda value, shape: torch.full(shape, value),
    st.sampled_from([0.0, float("nan"), float("inf"), 1e38]),
    st.lists(st.integers(0, 3), max_size=4).map(tuple),
)


@drawing(20)
@given(data=st.data(), value=st.one_of(junk, tensors, st.just("NaN in place")))
def test_values_of_a_state(data: st.DataObject, value: Any, whole: Path, tmp_path: Path) -> None:
    folder = copied(whole, tmp_path)
    path = folder / "checkpoints" / "state.pt"
    state = load_state(path)
    place = data.draw(st.sampled_from(leaves(state)))
    inner = state
    for key in place[:-1]:
        inner = inner[key]
    if isinstance(value, str) and value == "NaN in place":
        if isinstance(inner[place[-1]], torch.Tensor):
            inner[place[-1]].fill_(float("nan"))
    elif data.draw(st.booleans()):
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    save_state(path, state)
    check(folder)


@drawing(2)
@given(
    lines=st.lists(
        st.one_of(
            junk.map(json.dumps),
            st.dictionaries(st.sampled_from(["iteration", "kind", "loss", "psnr", "data_wait"]), junk).map(
                json.dumps
            ),
            st.text(max_size=30),
        ),
        max_size=5,
    )
)
def test_logs(lines: list[str], whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "log"
    folder.mkdir(exist_ok=True)
    text = "\n".join([*(whole / "log.jsonl").read_text().splitlines()[:2], *lines])
    (folder / "log.jsonl").write_bytes(text.encode("utf-8", "surrogatepass"))
    read = read_log(folder)
    assert len(read) >= 2
    for line in read:
        assert isinstance(line["kind"], str)
        float(line["iteration"])
