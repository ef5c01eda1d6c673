"""Every command of the documents on tiny things, and ways to mistype them."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from repository import call
from tiny_film import write_film
from tiny_set import TINY, write

from reddit.image.write import encode

SETTINGS = TINY | {"device": "auto"}
TREES = ["-c", "tiny.yaml", "--quiet"]
SCORES = ["evaluate", "--dataset", "lolv1", "--metrics", "psnr", "--quiet", "--weights"]
NIGHT = ["enhance", "--quiet", "--weights", "tiny-1", "-i"]
SHORT = ["--seeds", "0", "--steps", "2"]
LOW_HIGH = ["data.test_low=data/LOLv1/eval15/low", "data.test_high=data/LOLv1/eval15/high"]
README = [
    ["train", *TREES, "--ablation", "x0", "--name", "tiny-x0", "--set", "data.crop=8"],
    ["train", *TREES],
    ["train", *TREES, "--set", "data.crop=8", "-n"],
    ["train", *TREES, "-n", "--gpu", "h100"],
    ["distill", *TREES, "--chain", "-n", "--gpu", "h100"],
    ["distill", "--steps", "2", "--quiet"],
    ["distill", "--steps", "1", "--quiet"],
    ["distill", *TREES, "--chain"],
    ["distill", *TREES, "--steps", "2", "--set", "distill.method=progressive"],
    ["distill", "--steps", "2", "--ablation", "no-ratr", "--quiet"],
    [*NIGHT, "night.jpg", "-o", "bright.jpg"],
    [*NIGHT, "photos", "-o", "bright", "-r"],
    [*NIGHT, "photos", "-o", "bright", "-r", "--overwrite"],
    [*NIGHT, "photos", "-o", "photos", "--suffix", "lit"],
    [*NIGHT, "photos", "-o", "photos", "--suffix", "lit", "--overwrite"],
    [*NIGHT, "photos", "-o", "arrived", "--watch"],
    [*NIGHT, "clip.mp4", "-o", "bright.mp4"],
    [*NIGHT, "clip.mp4", "-o", "bright.mp4", "--overwrite"],
    [*SCORES, "tiny-1", "--json", "scores.json", "--html", "scores.html", "--save", "restored"],
    [*SCORES, "tiny-1", "--steps", "1", "--seeds", "0", "1", "--validation"],
    ["evaluate", "--dataset", "lolv1", "--metrics", "psnr", "--quiet"],
    ["report", *TREES, "--metrics", "psnr", "--set", "name=tiny", "--seeds", "0", "--format", "md"],
    ["reproduce", "figure6", *TREES, "--metrics", "psnr", *SHORT, "--iterations", "2"],
    ["reproduce", "figure6", *TREES, "--commands"],
    ["reproduce", "table4", *TREES, *SHORT],
    ["export", "--weights", "tiny-1", "-o", "student.safetensors", "--quiet"],
    ["push", "--weights", "tiny-1", "-o", "shared"],
    ["app", "--space", "space"],
    ["data", "check", "--dataset", "lolv1", "--quiet"],
    ["data", "link", "--dataset", "lolv1", "--from", "archive", "--data-root", "linked"],
    ["data", "photos", "--from", "photos", "--name", "own", "--data-root", "linked", "--quiet"],
    [*NIGHT, "night.jpg", "-o", "half.png", "--strength", "0.7", "--steps", "1"],
    ["evaluate", "--dataset", "lolv1", "--metrics", "psnr", "--quiet", "--predictions", "restored"],
    [*SCORES[:2], "pairs", *SCORES[3:-1], "--predictions", "restored", "--set", *LOW_HIGH],
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
    # films in place of films, pictures and notes
    [*NIGHT, "clip.mp4", "-o", "clip.mp4"],
    *([*NIGHT, "clip.mp4", "-o", name, "--overwrite"] for name in ("clip.mp4", "mine.mp4", "night.jpg")),
    [*NIGHT, "clip.mp4", "-o", "notes.txt", "--overwrite"],
    [*NIGHT, "photos", "-o", "photos", "--watch"],
    [*NIGHT, "photos", "-o", "mine", "--watch", "--overwrite"],
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
    # a share and a page in place of others
    ["push", "--weights", "tiny-2", "-o", "shared"],
    ["push", "--weights", "tiny-1", "-o", "edited"],
    *(["push", "--weights", "tiny-1", "-o", f"theirs/{name}"] for name in ("card", "settings", "model")),
    ["push", "--weights", "tiny-2", "-o", "theirs/model"],  # a copy by hand of that model
    ["push", "--weights", "theirs/model/model.safetensors", "-o", "theirs/model"],
    *(["app", "--space", f"theirs/{name}"] for name in ("card", "page")),
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
    ["distill", "--steps", "2", "--ablation", "no-ratr", "--quiet", "--resume", "none"],
    # links over what is there
    ["data", "link", "--dataset", "lolv1", "--from", "archive"],
]


class Clock:
    """In place of `time`: what waits until it is ended is interrupted after some seconds, without waiting."""

    def __init__(self, seconds: float = 4.0) -> None:
        self.now, self.seconds = 0.0, seconds

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.now > self.seconds:
            raise KeyboardInterrupt


def missing(command: list[str]) -> str | None:
    """Why a command cannot be called here: an extra that is not installed, or an old PyTorch."""
    if "--gpu" in command and torch.__version__ < (2, 14):  # type: ignore[operator]
        return "older versions of PyTorch look for a GPU"
    films = any(word.endswith(".mp4") for word in command)
    return "needs the extra video" if films and importlib.util.find_spec("av") is None else None


def run(command: list[str]) -> None:
    """Call a command; `--watch` is ended after some looks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("reddit.inference.watch.time", Clock())
        call(*command)


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
    for place, name in (("card", "README.md"), ("settings", "config.json"), ("page", "app.py")):
        (folder / "theirs" / place).mkdir(parents=True)
        (folder / "theirs" / place / name).write_text('{"model": "mine"}\n')
    for name in ("clip.mp4", "mine.mp4"):
        if missing(["clip.mp4"]) is None:
            write_film(folder / name, times=(0, 24, 48))
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
            if missing(command) is None:
                run(command)
        shutil.copytree("shared", "edited")
        card = Path("edited/README.md")
        card.write_text(card.read_text() + "My notes.\n")
        Path("theirs/model").mkdir()
        shutil.copy("runs/tiny-2/checkpoints/best.safetensors", "theirs/model/model.safetensors")


def grown(name: str, before: bytes, after: bytes) -> bool:
    """Whether a file that is written again holds what it held: a log its lines, a table its figures."""
    if name.endswith("log.jsonl"):
        return after.startswith(before)
    if name.startswith("runs/tiny/") and name.endswith((".csv", ".html")):  # with times
        return len(after) > 0.9 * len(before)
    if name == "scores.json":
        return bool(json.loads(after)["per_image"] == json.loads(before)["per_image"])
    if name in ("student.safetensors", "shared/model.safetensors"):  # the order of its metadata changes
        return len(after) == len(before) and after[-999:] == before[-999:]
    if name == "shared/README.md":  # with the hash of that file
        return re.sub(rb"SHA.*", b"", after) == re.sub(rb"SHA.*", b"", before)
    return name == "scores.html" and len(after) > 0.9 * len(before)


def check(
    before: dict[str, bytes], after: dict[str, bytes], same: Callable[[str, bytes, bytes], bool]
) -> None:
    for name, data in before.items():
        assert name in after, f"{name} is gone"
        assert after[name] == data or same(name, data, after[name]), f"{name} has changed"
