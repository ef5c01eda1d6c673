"""No command, repeated or mistyped, lessens what was on the disk: files stay what they are, or only grow."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from repository import call
from tiny_set import TINY, write

from reddit.image.write import encode
from reddit.utils.errors import UserError

SETTINGS = TINY | {"device": "auto"}
TREES = ["-c", "tiny.yaml", "--quiet"]
SCORES = ["evaluate", "--dataset", "lolv1", "--metrics", "psnr", "--quiet", "--weights"]
NIGHT = ["enhance", "--quiet", "--weights", "tiny-1", "-i"]
README = [
    ["train", *TREES],
    ["distill", "--steps", "2", "--quiet"],
    ["distill", "--steps", "1", "--quiet"],
    ["distill", *TREES, "--chain"],
    [*NIGHT, "night.jpg", "-o", "bright.jpg"],
    [*NIGHT, "photos", "-o", "bright", "-r"],
    [*NIGHT, "photos", "-o", "bright", "-r", "--overwrite"],
    [*NIGHT, "photos", "-o", "photos", "--suffix", "lit"],
    [*NIGHT, "photos", "-o", "photos", "--suffix", "lit", "--overwrite"],
    [*SCORES, "tiny-1", "--json", "scores.json", "--html", "scores.html", "--save", "restored"],
    ["report", *TREES, "--metrics", "psnr"],
    ["export", "--weights", "tiny-1", "-o", "student.safetensors", "--quiet"],
    ["data", "check", "--dataset", "lolv1", "--quiet"],
    ["data", "link", "--dataset", "lolv1", "--from", "archive", "--data-root", "linked"],
    ["data", "photos", "--from", "photos", "--name", "own", "--data-root", "linked", "--quiet"],
    [*NIGHT, "night.jpg", "-o", "half.png", "--strength", "0.7"],
    ["evaluate", "--dataset", "lolv1", "--metrics", "psnr", "--quiet", "--predictions", "restored"],
    ["doctor"],
]
"""The commands of the documents, on tiny things."""
WEIGHTS = "runs/tiny/checkpoints/best.safetensors"
MISTYPED = [
    ["evaluate", "--dataset", "lolv1", "--quiet", "--weights", "tiny-1", "--ensemble", "0"],
    # results in place of originals
    [*NIGHT, "night.jpg", "-o", "night.jpg"],
    [*NIGHT, "night.jpg", "-o", "night.jpg", "--overwrite"],
    [*NIGHT, "photos", "-o", "photos", "--overwrite"],
    [*NIGHT, "photos", "-o", "mine", "--overwrite"],
    [*NIGHT, "photos", "-o", "mine", "--suffix", "x", "--overwrite"],
    [*NIGHT, "bright.jpg", "-o", "night.jpg", "--overwrite"],
    [*NIGHT, "night.jpg", "-o", "notes.png", "--overwrite"],
    [*NIGHT, "night.jpg", "-o", "notes.txt", "--overwrite"],
    # scores, pages and pictures in place of data, weights and notes
    *([*SCORES, "tiny-1", "--json", name] for name in ("notes.txt", WEIGHTS, "night.jpg", "scores.html")),
    *([*SCORES, "tiny-1", "--html", name] for name in ("notes.txt", WEIGHTS, "photos/a.png", "scores.json")),
    *([*SCORES, "tiny-1", "--save", f"data/LOLv1/eval15/{side}"] for side in ("low", "high")),
    [*SCORES, "tiny-1", "--save", "data/LOLv1/our485/high"],
    [*SCORES, "tiny-1", "--save", "copies"],
    # exports in place of weights
    *(
        ["export", "--weights", "tiny-1", "-o", name]
        for name in (WEIGHTS, "runs/tiny-1/checkpoints/best.safetensors")
    ),
    ["export", "--weights", "tiny-2", "-o", "student.safetensors"],
    ["export", "--weights", "tiny-1", "-o", "other.onnx"],
    ["export", "--weights", "tiny-1", "-o", "other.pt2"],
    # runs in the folders of others
    ["train", *TREES, "--name", "tiny-2"],
    ["train", *TREES, "--resume", "none"],
    ["train", *TREES, "--resume", "runs/tiny-2"],
    ["train", *TREES, "--set", "model.width=12"],
    ["train", *TREES, "--set", "runs=.", "--name", "configured"],
    *(["train", *TREES, "--set", "runs=.", "--name", f"other-{number}"] for number in range(3)),
    ["train", *TREES, "--resume", "runs/tiny/checkpoints/state.pt", "--set", "model.width=12"],
    ["distill", "--steps", "2", "--name", "tiny", "--quiet"],
    ["distill", "--steps", "1", "--name", "tiny-2", "--quiet"],
    ["distill", "--steps", "2", "--name", "tiny-2", "--quiet", "--set", "distill.method=progressive"],
    ["distill", *TREES, "--chain", "--resume", "none"],
    # links over what is there
    ["data", "link", "--dataset", "lolv1", "--from", "archive"],
]


def tree(folder: Path) -> dict[str, bytes]:
    found = {}
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = str(path.readlink()).encode()
        elif path.is_file() and path.name != ".lock":
            found[name] = path.read_bytes()
    return found


def make_home(folder: Path) -> None:
    """Fill a folder, and call every command of the documents in it once."""
    write(folder, SETTINGS, train=6, test=2)
    rng = np.random.default_rng(0)
    pictures = ["night.jpg", "photos/a.png", "photos/b.bmp", "photos/c/d.tif", "notes.png"]
    pictures += ["mine/a.png", "mine/b.bmp", "mine/a_x.png", "mine/b_x.bmp"]
    pictures += ["copies/eval15-0.png", "copies/eval15-1.png"]
    for name in pictures:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 30, (24, 32, 3), dtype=np.uint8)).save(path)
    names = ["notes.txt", "other.onnx", "other.pt2", "configured/config.yaml", "other-0/data.json"]
    names += ["other-1/config.yaml", "other-1/checkpoints/last.ckpt", "other-2/log.jsonl"]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("mine\n")
    for split in ("our485", "eval15"):
        for side in ("low", "high"):
            path = folder / "archive/LOLv1" / split / side / "1.png"
            path.parent.mkdir(parents=True)
            path.write_bytes(encode(np.full((24, 32, 3), 9, np.uint8)))
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("REDDIT_DATA", raising=False)
        for command in README:
            call(*command)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    make_home(folder)
    return folder


def grown(name: str, before: bytes, after: bytes) -> bool:
    """Whether a file that is written again holds what it held: a log its lines, a table its figures."""
    if name.endswith("log.jsonl"):
        return after.startswith(before)
    if name.startswith("runs/tiny/") and name.endswith((".csv", ".html")):  # with times
        return len(after) > 0.9 * len(before)
    if name == "scores.json":
        return bool(json.loads(after)["per_image"] == json.loads(before)["per_image"])
    if name == "student.safetensors":  # the order of its metadata changes
        return len(after) == len(before) and after[-999:] == before[-999:]
    return name == "scores.html" and len(after) > 0.9 * len(before)


def check(
    before: dict[str, bytes], after: dict[str, bytes], same: Callable[[str, bytes, bytes], bool]
) -> None:
    for name, data in before.items():
        assert name in after, f"{name} is gone"
        assert after[name] == data or same(name, data, after[name]), f"{name} has changed"


@pytest.mark.parametrize("command", README, ids=lambda command: " ".join(command)[:60])
def test_repeated(command: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.delenv("REDDIT_DATA", raising=False)
    before = tree(folder)
    call(*command)
    check(before, tree(folder), grown)


@pytest.mark.parametrize("command", MISTYPED, ids=lambda command: " ".join(command)[:90])
def test_mistyped(command: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is refused, or does what it says beside what is there."""
    monkeypatch.chdir(folder)
    monkeypatch.delenv("REDDIT_DATA", raising=False)
    before = tree(folder)
    with pytest.raises(UserError):
        call(*command)
    after = tree(folder)
    assert after.keys() >= before.keys()
    check(before, after, lambda *_: False)


def test_a_finished_run_keeps_its_settings(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Typed with other settings, a command trains nothing, so that they would be those of no weights."""
    monkeypatch.chdir(folder)
    monkeypatch.delenv("REDDIT_DATA", raising=False)
    before = tree(folder)
    for changed in ("seed=5", "diffusion.steps=256", "train.iterations=1"):
        call("train", *TREES, "--set", changed)
    check(before, tree(folder), grown)


def test_a_folder_that_was_emptied_of_states_keeps_its_weights(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """People delete the large states; the same commands then replace nothing."""
    shutil.copytree(folder, tmp_path / "home", symlinks=True)
    monkeypatch.chdir(tmp_path / "home")
    monkeypatch.delenv("REDDIT_DATA", raising=False)
    for path in Path("runs").rglob("state.pt"):
        path.unlink()
    before = tree(tmp_path / "home")
    for command in README:
        if command[0] in ("train", "distill"):
            try:
                call(*command)
            except UserError as error:
                assert "would be replaced" in str(error)
    check(before, tree(tmp_path / "home"), grown)
