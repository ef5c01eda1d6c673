"""Damaged run folders, and the commands that resume and read them."""

from __future__ import annotations

import contextlib
import math
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from checkpoints import pickled
from hostile import HOSTILE
from mutations import damaged
from results import SCORED, Faults, not_finite, weights_in, weights_not_finite

FILES = ["config.yaml", "log.jsonl", "data.json", "teacher.json", "origin.json", ".lock", "tb", "checkpoints"]
FILES += [f"checkpoints/{name}" for name in ("state.pt", "best.safetensors", "last.safetensors")] * 2
FILES += ["results.csv", "comparison.csv", ""]


def _gone(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _linked(path: Path, target: Path) -> None:
    _gone(path)
    path.symlink_to(target)


def _pipe(path: Path) -> None:
    _gone(path)
    os.mkfifo(path)


def _folder(path: Path) -> None:
    _gone(path)
    (path / "inner").mkdir(parents=True)


def _unreadable(path: Path) -> None:
    if path.exists():
        path.chmod(0)


def _written(data: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        _gone(path)
        path.write_bytes(data)

    return write


PLACES: list[Callable[[Path], None]] = [
    _gone,
    _pipe,
    _folder,
    _unreadable,
    lambda path: _linked(path, path),
    lambda path: _linked(path, path.parent),
    lambda path: _linked(path, Path("nothing")),
    lambda path: _linked(path, Path("/dev/zero")),
]
PLACES += map(
    _written,
    [b"", b"\0" * 5000, b"mine\n", b"[1, 2]\n", b"[" * 10_000, b"\xff\xfe\0", b'{"a": NaN}\n', b"- 1\n"],
)


class RunFolders:
    """Folders of a teacher and its student, some files damaged or replaced; they are resumed and read."""

    count = 500

    def __init__(self, base: Path, number: int, count: int) -> None:
        self.base = base

    def prepare(self, rng: random.Random, folder: Path) -> list[list[str]]:
        shutil.copytree(self.base / "runs", folder / "runs")
        for _ in range(rng.choice([1, 1, 2, 3])):
            with contextlib.suppress(OSError):  # where another damage lies
                self.harm(rng, folder / "runs" / rng.choice(["tiny", "tiny-2"]))
        if rng.random() < 0.3:
            name = rng.choice(["\x1b[31mred", "x" * 250, "a b", "-n", "\udce9", "..x", "new\nline"])
            shutil.copytree(self.base / "runs/tiny-2", folder / "runs" / name)
        self.before = {path: path.read_bytes() for path in weights_in(folder)}
        picture = str(next((self.base / "data/LOLv1/eval15/low").iterdir()))
        config, runs = str(self.base / "tiny.yaml"), f"runs={folder / 'runs'}"
        root = f"data.root={self.base / 'data'}"
        calls = [
            ["train", "-c", config, "--quiet", "--set", runs],
            ["distill", "-c", config, "--steps", "2", "--quiet", "--set", runs],
            ["distill", "--steps", "2", "--quiet", "--set", runs, root],
            ["distill", "-c", config, "--chain", "--quiet", "--set", runs],
            [*SCORED, "--set", runs, root],
            [
                "enhance",
                "-i",
                picture,
                "-o",
                "out.png",
                "--weights",
                rng.choice(["tiny", "tiny-2", "runs/tiny"]),
            ],
            ["doctor"],
        ]
        if rng.random() < 0.1:
            calls.append(["report", "-c", config, "--metrics", "psnr", "--quiet", "--set", runs])
        return rng.sample(calls, 3)

    def harm(self, rng: random.Random, run: Path) -> None:
        """Damage or replace one file of a run."""
        path = run / rng.choice(FILES)
        if not run.is_dir() or not os.path.lexists(path.parent):
            return
        way = rng.random()
        if way < 0.45 and path.is_file():
            path.write_bytes(damaged(rng, path.read_bytes(), [(self.base / "tiny.yaml").read_bytes()]))
        elif way < 0.6 and path.suffix == ".pt" and path.is_file():
            self.harm_state(rng, path)
        elif path == run and way < 0.8:
            _written(b"mine")(path)
        else:
            rng.choice(PLACES)(path)

    def harm_state(self, rng: random.Random, path: Path) -> None:
        """Change a value of a training state."""
        if rng.random() < 0.2:
            path.write_bytes(pickled(rng))
            return
        state = torch.load(self.base / "runs" / path.parts[-3] / "checkpoints/state.pt", weights_only=True)
        for _ in range(rng.choice([1, 2])):
            inner, keys = state, list(state)
            while True:
                key = rng.choice(keys)
                if not isinstance(inner[key], dict) or not inner[key] or rng.random() < 0.1:
                    break
                inner = inner[key]
                keys = list(inner)
            tensor = torch.full((rng.choice([0, 1, 8]), 3), rng.choice([math.nan, math.inf, 0.0, 1e38]))
            if isinstance(inner[key], torch.Tensor) and inner[key].is_floating_point() and rng.random() < 0.5:
                inner[key] = torch.full_like(inner[key], rng.choice([math.nan, math.inf, 1e38, 0.0]))
            else:
                inner[key] = rng.choice([*HOSTILE, tensor, tensor])
        torch.save(state, path)

    def check(self, folder: Path, command: list[str], code: int, text: str) -> Faults:
        before, self.before = self.before, {path: path.read_bytes() for path in weights_in(folder)}
        trains = command[0] in ("train", "distill")
        if code == 0:
            found = not_finite(folder / "s.json") if command[0] == "evaluate" else []
            return found + (weights_not_finite(folder, before=before) if trains else [])
        faults = []
        for path, data in before.items():
            if path not in self.before:
                faults.append(("other", f"{path.relative_to(folder)} is gone after an error"))
            elif not trains and self.before[path] != data:
                faults.append(("other", f"{path.relative_to(folder)} was changed"))
        return faults
