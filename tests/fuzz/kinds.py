"""The inputs of `many.py`: pictures, configurations, checkpoints, run folders, and the commands they meet."""

from __future__ import annotations

import contextlib
import json
import math
import os
import pickle
import random
import shutil
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import yaml
from forks import forked
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from mutations import damaged, mutated, spliced
from picture_files import more_files
from repository import ROOT, call
from safetensors.torch import load_file
from test_configurations import KEYS, overrides, values
from test_configurations import check as check_config
from test_configurations import mutated as mutated_config
from test_repeated import MISTYPED, README, grown, make_home, tree
from tiny_set import TINY, write

from reddit.config import load_config
from reddit.image.marks import is_result
from reddit.image.read import read_photo, read_uint8
from reddit.utils.errors import UserError

Faults = list[tuple[str, str]]
SET = {
    "train": {"iterations": 4, "checkpoint_every": 2, "validate_every": 2, "log_every": 1, "batch_size": 2}
}
HOSTILE: list[Any] = [
    None,
    True,
    "",
    "x",
    "../up",
    "/etc",
    "\x1b[31m",
    "nan",
    "-1",
    "1e400",
    "x" * 3000,
    "\u202e",
]
HOSTILE += [
    0,
    -1,
    2**31,
    2**63,
    2**70,
    1e308,
    1e-320,
    math.nan,
    math.inf,
    -0.5,
    [],
    {},
    [1, 2],
    {"a": 1},
    [[[]]],
]
HOSTILE += [
    "1_000",
    "0x10",
    "!!python/object/apply:os.system ['true']",
    "yes",
    "2020-01-01",
    "💡",
    "%s%n",
    "${HOME}",
]


class Payload:
    """Unpickled without care, it runs a command."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("true",)


def write_base(folder: Path) -> None:
    """A data set, a teacher and a student of it, some steps before their ends."""
    config = TINY | SET | {"name": "tiny", "runs": str(folder / "runs")}
    config["data"] = TINY["data"] | {"root": str(folder / "data"), "workers": 0}
    write(folder, config, train=4, test=1)
    os.chdir(folder)
    call("train", "-c", "tiny.yaml", "--quiet", "--set", "train.iterations=2")
    call("distill", "-c", "tiny.yaml", "--steps", "2", "--quiet")
    call("enhance", "-i", str(next((folder / "data").rglob("*.png"))), "-o", "a.png", "--weights", "tiny")


def changed_value(rng: random.Random, value: Any) -> Any:
    """Another value: hostile, near the one at hand, or nested."""
    way = rng.random()
    if way < 0.5 or isinstance(value, (bool, str, type(None))):
        return rng.choice(HOSTILE)
    if isinstance(value, (int, float)):
        return rng.choice([value + 1, -value, value * 1000, value / 3, float(value), str(value), [value]])
    if isinstance(value, dict):
        return {**value, rng.choice(["", "x", "a.b", "__class__"]): rng.choice(HOSTILE)}
    return [*value, rng.choice(HOSTILE)] if isinstance(value, list) else [value]


def change_tree(rng: random.Random, tree: Any) -> None:
    """Change, remove or add an entry anywhere in nested dictionaries and lists."""
    while True:
        keys = list(tree) if isinstance(tree, dict) else list(range(len(tree)))
        if not keys:
            return
        key = rng.choice(keys)
        if not isinstance(tree[key], (dict, list)) or not tree[key] or rng.random() < 0.2:
            break
        tree = tree[key]
    change = rng.random()
    if change < 0.15:
        del tree[key]
    elif change < 0.3 and isinstance(tree, dict):
        tree[rng.choice(["x", "", "lr", "steps", "1", "__init__", "k" * 300])] = rng.choice(HOSTILE)
    else:
        tree[key] = changed_value(rng, tree[key])


def examples(strategy: st.SearchStrategy[Any], number: int, count: int) -> list[Any]:
    """Values of a strategy of hypothesis, for a seed."""
    found: list[Any] = []

    @seed(number)
    @settings(
        max_examples=count, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(strategy)
    def collect(value: Any) -> None:
        found.append(value)

    collect()
    return found


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


class Checkpoints:
    """A checkpoint, named by its path or found in `runs`."""

    count = 1_000

    def __init__(self, base: Path, number: int, count: int) -> None:
        self.base = base
        self.whole = (base / "runs/tiny-2/checkpoints/best.safetensors").read_bytes()
        self.other = (base / "runs/tiny/checkpoints/best.safetensors").read_bytes()

    def content(self, rng: random.Random) -> bytes:
        way = rng.randrange(10)
        if way == 0:
            return damaged(rng, self.whole, [self.other])
        if way == 1:
            return spliced(rng, self.whole, self.other)
        (length,) = struct.unpack("<Q", self.whole[:8])
        header, tensors = json.loads(self.whole[8 : 8 + length]), self.whole[8 + length :]
        if way == 2:
            text = damaged(rng, self.whole[8 : 8 + length], [b'{"a":' * 5000, b"[" * 9999])
            return struct.pack("<Q", len(text)) + text + tensors
        if way == 3:
            return pickled(rng)
        if way == 4:
            return (
                struct.pack("<Q", rng.choice([0, 1, length - 1, length + 9, 10**8, 2**40, 2**63]))
                + self.whole[8:]
            )
        named = sorted(set(header) - {"__metadata__"})
        if way <= 6:
            config = json.loads(header["__metadata__"]["config"])
            for _ in range(rng.choice([1, 1, 2])):
                change_tree(rng, config)
            if rng.random() < 0.4:
                section, key, value = rng.choice(CLAIMS)
                if isinstance(config.get(section), dict):
                    config[section][key] = value
            header["__metadata__"]["config"] = json.dumps(config)
        elif way == 7:
            change_tree(rng, header["__metadata__"])
            header["__metadata__"] = {
                key: value if isinstance(value, str) else json.dumps(value)
                for key, value in header["__metadata__"].items()
            }
        elif way == 8:
            name = rng.choice(named)
            entry = header[name]
            change_tree(rng, entry)
            if rng.random() < 0.4:
                header[rng.choice(["x", "\x1b[31m", "", "module." + name])] = header.pop(name)
        else:
            return self.with_values(rng, header, named, tensors)
        text = json.dumps(header).encode()
        return struct.pack("<Q", len(text)) + text + tensors

    def with_values(self, rng: random.Random, header: Any, named: list[str], tensors: bytes) -> bytes:
        """Weights that are not finite, huge or tiny, in one tensor or in all."""
        data, value = (
            bytearray(tensors),
            rng.choice([math.nan, math.inf, -math.inf, 3e38, 1e30, 1e19, 1e9, 1e-45]),
        )
        for name in rng.choice([named, [rng.choice(named)], [rng.choice(named)]]):
            start, end = header[name]["data_offsets"]
            places = range(start, end, 4) if rng.random() < 0.5 else [rng.randrange(start, end, 4)]
            for place in places:
                data[place : place + 4] = struct.pack("<f", value)
        text = json.dumps(header).encode()
        return struct.pack("<Q", len(text)) + text + data

    def prepare(self, rng: random.Random, folder: Path) -> list[list[str]]:
        path = folder / "runs/odd/checkpoints/best.safetensors"
        path.parent.mkdir(parents=True)
        path.write_bytes(self.content(rng))
        if rng.random() < 0.3:
            path = path.rename(folder / rng.choice(["a.safetensors", "a.pth", "a.onnx", "a.pt", "a"]))
        named = rng.choice([["--weights", str(path)], ["--weights", "odd"], []])
        if path.parent == folder:
            named = ["--weights", str(path)]
        picture = str(next((self.base / "data/LOLv1/eval15/low").iterdir()))
        root = f"data.root={self.base / 'data'}"
        teacher = ["--teacher", *named[1:]] if named else []
        calls = [
            ["enhance", "-i", picture, "-o", "out.png", "--force", *named],
            [
                "evaluate",
                "--dataset",
                "lolv1",
                "--metrics",
                "psnr",
                "--quiet",
                "--json",
                "s.json",
                *named,
                "--set",
                root,
            ],
            ["distill", "--steps", "1", "--quiet", *teacher, "--set", root, f"runs={folder / 'runs'}"],
            ["export", "-o", "half.safetensors", *(named or ["--weights", "odd"])],
        ]
        calls[2] += ["distill.train.iterations=2", "data.workers=0"]
        return rng.sample(calls, 2)

    def check(self, folder: Path, command: list[str], code: int, text: str) -> Faults:
        if code != 0:
            return (
                [("other", "out.png in spite of an error")]
                if (folder / "out.png").exists() and command[0] == "enhance"
                else []
            )
        if command[0] == "evaluate":
            return not_finite(folder / "s.json")
        odd = folder / "runs/odd"
        return weights_not_finite(folder, besides=odd)


CLAIMS = [("model", "width", 4096), ("model", "multipliers", [1] * 60), ("model", "blocks", 10**6)]
CLAIMS += [("diffusion", "steps", 10**12), ("diffusion", "steps", -4), ("model", "unshuffle", 2**40)]
CLAIMS += [("model", "groups", 0), ("model", "architecture", "compact"), ("diffusion", "beta_end", 1e300)]


def pickled(rng: random.Random) -> bytes:
    """A file of PyTorch or of pickle, some with a payload."""
    payload = pickle.dumps(Payload(), protocol=rng.choice([0, 2, 4]))
    if rng.random() < 0.5:
        return payload
    path = Path("pickled.pt")
    if rng.random() < 0.5:
        torch.save(
            {"state_dict": {"module.a": torch.zeros(2)}},
            path,
            _use_new_zipfile_serialization=rng.random() < 0.5,
        )
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", payload)
            archive.writestr("archive/version", "3")
    data = path.read_bytes()
    path.unlink()
    return damaged(rng, data) if rng.random() < 0.3 else data


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
            [
                "evaluate",
                "--dataset",
                "lolv1",
                "--metrics",
                "psnr",
                "--quiet",
                "--json",
                "s.json",
                "--set",
                runs,
                root,
            ],
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


class Commands:
    """A command of the documents, mistyped, where all were called before: nothing on the disk is lessened."""

    count = 1_000

    def __init__(self, base: Path, number: int, count: int) -> None:
        self.home = base.with_name("home")
        if not self.home.exists():
            self.home.mkdir()
            code = forked(lambda: make_home(self.home), base.with_name("said.txt"))
            assert code == 0, base.with_name("said.txt").read_text()
        words = {word for command in [*README, *MISTYPED] for word in command if not word.startswith("-")}
        self.values = [*sorted(words), "", ".", "..", "0", "-1", "runs", "data", "runs/tiny", "linked/photos"]
        self.values += [str(path.relative_to(self.home)) for path in sorted(self.home.rglob("*"))]

    def prepare(self, rng: random.Random, folder: Path) -> list[list[str]]:
        os.environ.pop("REDDIT_DATA", None)
        shutil.copytree(self.home, folder, symlinks=True, dirs_exist_ok=True)
        self.before = tree(folder)
        command = list(rng.choice([*README, *README, *MISTYPED]))
        for _ in range(rng.choice([1, 1, 1, 2])):
            values = [place for place, word in enumerate(command) if place and not word.startswith("-")]
            place, change = rng.choice(values or [0]), rng.randrange(9)
            if change <= 5:
                command[place] = rng.choice(self.values)
            elif change == 6 and len(command) > 1:
                del command[rng.randrange(len(command))]
            elif change == 7:
                other = rng.choice(values or [0])
                command[place], command[other] = command[other], command[place]
            else:
                word = command[place]
                letter = rng.randrange(len(word) + 1)
                command[place] = (
                    word[:letter] + rng.choice(["", "x", "-", "/", " ", "é"]) + word[letter + 1 :]
                )
        if rng.random() < 0.2:
            command.append(rng.choice(["--overwrite", "--chain", "--force", "-r"]))
        command = ["x" if word == "--watch" else word for word in command]  # waits for ever, as it should
        return [command] * 2

    def check(self, folder: Path, command: list[str], code: int, text: str) -> Faults:
        after = tree(folder)
        faults = [("other", f"{name} is gone") for name in self.before if name not in after]
        for name, data in self.before.items():
            same = after.get(name, data) == data or grown(name, data, after[name])
            if not same and not self.is_ours(folder / name):
                faults.append(("other", f"{name} has changed"))
        self.before = after
        return faults

    def is_ours(self, path: Path) -> bool:
        """Whether a file was an earlier result, which the same command may replace."""
        name = path.relative_to(Path.cwd()).as_posix()
        exported = path.suffix == ".safetensors" and not (self.home / name).exists()  # by the first call
        return exported or name in ("scores.json", "scores.html", "student.safetensors") or is_result(path)


def weights_in(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*.safetensors"):
        if path.is_file() and os.access(path, os.R_OK):
            yield path


def weights_not_finite(
    folder: Path, besides: Path | None = None, before: dict[Path, bytes] | None = None
) -> Faults:
    """Weights that a command wrote, with values that are not finite.

    Args:
        besides: a folder of inputs.
        before: files as they were; those that did not change are inputs, too.
    """
    faults = []
    for path in weights_in(folder):
        if (besides and path.is_relative_to(besides)) or (before and before.get(path) == path.read_bytes()):
            continue
        try:
            broken = [name for name, tensor in load_file(path).items() if not tensor.isfinite().all()]
        except Exception:  # an input
            continue
        if broken and path.stat().st_mtime > (folder / "started").stat().st_mtime:
            faults.append(("NaN", f"{path.relative_to(folder)} has {broken[0]}"))
    return faults


def not_finite(path: Path) -> Faults:
    """Scores that are no numbers."""
    text = path.read_text()
    return [("NaN", f"scores: {text[:300]}")] if "NaN" in text else []


ALL = {
    "pictures": Pictures,
    "configurations": Configurations,
    "checkpoints": Checkpoints,
    "run folders": RunFolders,
    "commands": Commands,
}
