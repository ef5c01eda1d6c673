"""Damaged checkpoints, and the commands that read them."""

from __future__ import annotations

import json
import math
import pickle
import random
import struct
import zipfile
from pathlib import Path
from typing import Any

import torch
from hostile import Payload, change_tree
from mutations import damaged, spliced
from results import SCORED, Faults, not_finite, weights_not_finite


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
            [*SCORED, *named, "--set", root],
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
