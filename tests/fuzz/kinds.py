"""The inputs of `many.py`: what is damaged, and the commands that meet it."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import yaml
from checkpoints import Checkpoints
from hostile import HOSTILE, change_tree, examples
from hypothesis import strategies as st
from mistyped import Commands
from mutations import damaged, mutated
from picture_files import more_files
from repository import ROOT, call
from results import Faults, not_finite, weights_not_finite
from run_folders import RunFolders
from test_configurations import KEYS, overrides, values
from test_configurations import check as check_config
from test_configurations import mutated as mutated_config
from tiny_set import TINY, write

from reddit.config import load_config
from reddit.image.read import read_photo, read_uint8
from reddit.utils.errors import UserError

SET = {
    "train": {"iterations": 4, "checkpoint_every": 2, "validate_every": 2, "log_every": 1, "batch_size": 2}
}


def write_base(folder: Path) -> None:
    """A data set, a teacher and a student of it, some steps before their ends."""
    config = TINY | SET | {"name": "tiny", "runs": str(folder / "runs")}
    config["data"] = TINY["data"] | {"root": str(folder / "data"), "workers": 0}
    write(folder, config, train=4, test=1)
    os.chdir(folder)
    call("train", "-c", "tiny.yaml", "--quiet", "--set", "train.iterations=2")
    call("distill", "-c", "tiny.yaml", "--steps", "2", "--quiet")
    call("enhance", "-i", str(next((folder / "data").rglob("*.png"))), "-o", "a.png", "--weights", "tiny")


STRATEGIES: list[st.SearchStrategy[Any]] = [
    overrides,
    mutated_config(),
    st.tuples(st.sampled_from(KEYS), values),
]


class Pictures:
    """A damaged picture, which is enhanced, checked as part of a data set, and scored."""

    count = 10_000

    def __init__(self, base: Path, number: int, count: int) -> None:
        self.base, self.files = base, more_files(base)
        self.names, self.all = sorted(self.files), list(self.files.values())

    def prepare(self, rng: random.Random, folder: Path) -> list[list[str]]:
        os.environ["REDDIT_MAX_MEGAPIXELS"] = "300"
        for part in ("our485/low", "our485/high", "eval15/low", "eval15/high"):
            (folder / "data/LOLv1" / part).mkdir(parents=True)
        name = rng.choice(self.names)
        extension = Path(name).suffix if rng.random() < 0.93 else Path(rng.choice(self.names)).suffix
        side = rng.choice(["low", "high"])
        path = folder / f"data/LOLv1/eval15/{side}/a{extension}"
        path.write_bytes(mutated(rng, self.files[name], self.all))
        other = "high" if side == "low" else "low"
        (folder / f"data/LOLv1/eval15/{other}/a.png").write_bytes(self.files["RGB.png"])
        result = f"out{rng.choice(['.png', '.jpg', '.tif', '.webp', '.bmp'])}"
        flags = ["--data-root", "data", "--alone", "--quiet"]
        called = [
            ["data", "check", "--dataset", "lolv1", *flags],
            ["enhance", "-i", str(path), "-o", result, "--weights", str(self.base / "runs/tiny"), "--force"],
        ]
        if rng.random() < 0.2:
            scored = ["--weights", str(self.base / "runs/tiny")]
            scored = rng.choice([scored, ["--predictions", f"data/LOLv1/eval15/{side}"]])
            flags = ["--set", "data.root=data", "--metrics", "psnr", "--quiet", "--json", "scores.json"]
            called.append(["evaluate", "--dataset", "lolv1", *scored, *flags])
        return called

    def check(self, folder: Path, command: list[str], code: int, text: str) -> Faults:
        if command[0] == "data":  # read with the limit of users; enhanced with a smaller one, which is quick
            os.environ["REDDIT_MAX_MEGAPIXELS"] = "0.1"
            return []
        if command[0] == "evaluate":
            return not_finite(folder / "scores.json") if code == 0 else []
        result = folder / command[command.index("-o") + 1]
        if code != 0:
            return [("other", f"{result.name} in spite of exit code {code}")] if result.exists() else []
        try:
            photo, flat = read_photo(command[2]), read_uint8(command[2])
            written = read_photo(result)
        except UserError as error:
            return [("other", f"accepted, and then: {error}")]
        same = photo.pixels.shape[:2] == flat.shape[:2] == written.pixels.shape[:2]
        return [] if same else [("other", "the result has another size")]


class Configurations:
    """A configuration, as a file or by `--set`; what is accepted is built, and some are trained."""

    count = 10_000

    def __init__(self, base: Path, number: int, count: int) -> None:
        self.base = base
        self.tiny = yaml.safe_load((base / "tiny.yaml").read_text())
        self.examples = [examples(strategy, number, count // 5 + 5) for strategy in STRATEGIES]
        self.shipped = sorted((ROOT / "configs").glob("*.yaml"))

    def prepare(self, rng: random.Random, folder: Path) -> list[list[str]]:
        way, file, laid = rng.randrange(7), folder / "mine.yaml", []
        if way <= 2:
            value = rng.choice(self.examples[way])
        if way == 0:
            laid, file = [text for text in value if not text.startswith("-")], rng.choice(self.shipped)
        elif way == 1:
            file.write_bytes(value.encode("utf-8", "surrogatepass"))
        elif way == 2:
            *above, key = value[0].split(".")
            text = "".join("  " * depth + f"{name}:\n" for depth, name in enumerate(above))
            file.write_bytes(f"{text}{'  ' * len(above)}{key}: {value[1]}\n".encode("utf-8", "surrogatepass"))
        elif way == 3:
            file.write_bytes(
                damaged(rng, rng.choice(self.shipped).read_bytes(), [b"&a [*a]", b"<<: *a", b"!!set"])
            )
        else:
            return self.trained(rng, file, way)
        command = rng.choice([["train", "-n"], ["train", "-n"], ["distill", "-n", "--steps", "2"]])
        return [[*command, "-c", str(file), *(["--set", *laid] if laid else [])]]

    def trained(self, rng: random.Random, file: Path, way: int) -> list[list[str]]:
        """The tiny configuration with one to three changes, which is trained where it is accepted."""
        tree = json.loads(json.dumps(self.tiny))
        for _ in range(rng.choice([1, 1, 2, 3])):
            if way == 4:
                change_tree(rng, tree)
            else:
                inner, (*above, key) = tree, rng.choice(KEYS).split(".")
                for name in above:
                    inner = inner.setdefault(name, {}) if isinstance(inner, dict) else {}
                if isinstance(inner, dict):
                    inner[key] = rng.choice([*HOSTILE, 1, 2, 3, 8, 0.5, 0.1, "auto", [1, 1], False])
        file.write_text(yaml.safe_dump(tree, allow_unicode=rng.random() < 0.5))
        shown = ["train", "-n", "-c", str(file)]
        small = isinstance(tree.get("train"), dict) and tree["train"].get("iterations") in (2, 4)
        safe = small and tree.get("model") == self.tiny["model"] and isinstance(tree.get("data"), dict)
        safe = safe and tree["data"].get("workers") == 0 and tree.get("runs") == self.tiny["runs"]
        safe = safe and not tree["train"].keys() & {"compile"}
        if not safe or rng.random() < 0.5:
            return [shown]
        runs = file.parent / "runs"
        return [shown, ["train", "-c", str(file), "--quiet", "--set", f"runs={runs}", "train.iterations=1"]]

    def check(self, folder: Path, command: list[str], code: int, text: str) -> Faults:
        if "-n" not in command:
            return weights_not_finite(folder) if code == 0 else []
        if code != 0:
            return []
        (folder / "printed.yaml").write_text(text)
        try:
            check_config(load_config(folder / "printed.yaml", stage=command[0] == "distill"), folder)
        except Exception as error:
            return [("other", f"accepted, and then {type(error).__name__}: {error!s:.300}")]
        return []


ALL = {
    "pictures": Pictures,
    "configurations": Configurations,
    "checkpoints": Checkpoints,
    "run folders": RunFolders,
    "commands": Commands,
}
