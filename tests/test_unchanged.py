"""Training and enhancement give the recorded numbers, whatever is moved or renamed in the package.

`unchanged.json` holds one record a machine: PyTorch, OpenCV and processor. Where the machine is recorded,
every loss, weight and picture must be equal bit for bit; elsewhere they are compared with the first record,
within the tolerances below. To add or replace the record of this machine, from a version known to be right:

    python tests/test_unchanged.py

Everything goes through the commands and `reddit.load`, so that a change of the loop, of a method or of the
picture reader is seen.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import skimage.data
import torch
import yaml
from PIL import Image
from repository import ROOT, call
from safetensors.torch import load_file, save_file

import reddit

RECORDS = Path(__file__).with_name("unchanged.json")
EVAL15 = Path(os.environ.get("REDDIT_SHARED", ROOT.parent / "shared")) / "data" / "LOLv1" / "eval15" / "low"

TOLERANCE = {
    "fp32": {"loss": 1e-4, "gradient_norm": 1e-3, "validation": 1e-4},
    "bf16": {"loss": 2e-2, "gradient_norm": 0.5, "validation": 1e-2},
}
"""Relative, by precision: elsewhere sums run in another order, and training amplifies the difference."""
PICTURE_TOLERANCE = 4e-3
"""Of the means of a grid over the picture, in [0, 1]; also of a record in bf16 against fp32 here."""

STEPS = 30
LOOP = {"iterations": STEPS, "batch_size": 4, "log_every": 1, "validate_every": 15, "checkpoint_every": 15}
CONFIG: dict[str, Any] = {
    "runs": "runs",
    "seed": 3,
    "device": "cpu",
    "data": {
        "root": "data",
        "dataset": "lolv1",
        "crop": 32,
        "validation": 0.3,
        "vertical_flip": True,
        "transpose": True,
        "gain": 0.5,
        "context_window": 0.8,
    },
    "model": {"width": 8, "multipliers": [1, 2], "blocks": 1, "groups": 4, "log_condition": True},
    "diffusion": {"zero_terminal_snr": True, "teacher_steps": 4},
    "teacher": {"p_terminal": 0.2},
    "train": LOOP | {"lr": 2e-3, "warmup": 5, "decay_from": 0.5, "lr_end": 1e-4, "ema": 0.9},
    "perceptual": {"backbone": "alex", "weights": "alexnet.safetensors"},
    "distill": {
        "reddit": {
            "omega": 0.2,
            "denoiser": "gaussian",
            "w_per": 0.1,
            "w_illumination": 0.1,
            "jitter": "independent",
            "p_terminal": 0.2,
            "p_rollout": 0.3,
        },
        "train": LOOP | {"lr": 1e-3, "decay_from": 0.5},
    },
}
LIGHT = {"block": "light", "context": True, "unshuffle": 2, "attention_levels": [], "prediction": "v"}
SR3 = {"block": "sr3", "attention_levels": [1], "prediction": "x0"}
FAMILIES: dict[str, dict[str, Any]] = {
    "light-fp32": {"precision": "fp32", "model": LIGHT},
    "light-bf16": {"precision": "bf16", "model": LIGHT, "train": {"grad_accum_steps": 2}},
    "sr3-fp32": {"precision": "fp32", "model": SR3},
}
METHODS = {"light-fp32": ("reddit", "progressive", "consistency", "reflow")}

DEMO = ("chelsea", "coffee")
WAYS: dict[str, dict[str, Any]] = {
    "light-lol-1 float": {"name": "light-lol-1", "precision": "fp32"},
    "light-lol-1 8-bit": {"name": "light-lol-1"},
    "light-lol-1 tiled": {"name": "light-lol-1", "precision": "fp32", "tile": 128},
    "light-lol-4 float": {"name": "light-lol-4", "precision": "fp32"},
    "light-lol-4 8-bit": {"name": "light-lol-4"},
}
EVAL15_WAYS = ("light-lol-1 float", "light-lol-4 8-bit")


def machine() -> dict[str, str]:
    """What decides the last bits of a result."""
    name = platform.machine()
    with contextlib.suppress(OSError):
        text = Path("/proc/cpuinfo").read_text()
        found = dict(re.findall(r"^(vendor_id|cpu family|model|model name)\s*: (.*)$", text, re.MULTILINE))
        name = ", ".join([name, *(f"{key} {value}" for key, value in sorted(found.items()))])
    return {
        "torch": torch.__version__,
        "opencv": cv2.__version__,
        "capability": torch.backends.cpu.get_cpu_capability(),
        "processor": name,
        "threads": "1",
    }


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@contextlib.contextmanager
def working_in(folder: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("REDDIT_DATA", raising=False)
        yield


# Training


def write_data(folder: Path) -> None:
    """Seven scenes of coloured blocks, and random convolutions for the perceptual loss."""
    rng = np.random.default_rng(5)
    for number in range(7):
        high = np.kron(rng.integers(30, 240, (6, 7, 3)), np.ones((8, 8, 1), np.int64))
        high = high + rng.integers(-15, 16, high.shape)
        low = np.clip(high // 12 + rng.integers(-2, 3, high.shape), 0, 255)
        for side, picture in (("high", high), ("low", low)):
            path = folder / "data" / "LOLv1" / "our485" / side / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture.astype(np.uint8)).save(path)
    generator = torch.Generator().manual_seed(0)
    layers = {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3), 10: (256, 256, 3)}
    weights = {}
    for number, (channels_out, channels_in, side) in layers.items():
        shape = (channels_out, channels_in, side, side)
        scale = (2 / (channels_in * side * side)) ** 0.5
        weights[f"features.{number}.weight"] = scale * torch.randn(shape, generator=generator)
        weights[f"features.{number}.bias"] = torch.zeros(channels_out)
    save_file(weights, folder / "alexnet.safetensors")


def trained(family: str) -> dict[str, dict[str, Any]]:
    """A teacher of a family in the working folder, and its students: method → what the run left."""
    settings = {
        name: CONFIG.get(name, {}) | part for name, part in FAMILIES[family].items() if name != "precision"
    }
    precision = FAMILIES[family]["precision"]
    config = CONFIG | settings | {"name": family, "precision": precision}
    Path("run.yaml").write_text(yaml.safe_dump(config))
    call("train", "-c", "run.yaml", "--quiet")
    found = {"teacher": left_by(Path("runs") / family)}
    for method in METHODS.get(family, ("reddit",)):
        name = f"{family}-{method}"
        chosen = ("--set", f"distill.method={method}", "--name", name)
        call("distill", "-c", "run.yaml", "--steps", "2", "--quiet", *chosen)
        found[method] = left_by(Path("runs") / name)
    return found


def left_by(run: Path) -> dict[str, Any]:
    """The numbers of a run's log, as hexadecimal floats, and a digest of its averaged weights."""
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    steps = [line for line in lines if line["kind"] == "train"]
    assert [line["iteration"] for line in steps] == list(range(1, STEPS + 1))
    weights = load_file(run / "checkpoints" / "last.safetensors")
    return {
        "loss": [float(line["loss"]).hex() for line in steps],
        "gradient_norm": [float(line["gradient_norm"]).hex() for line in steps],
        "validation": [float(line["psnr"]).hex() for line in lines if line["kind"] == "validation"],
        "weights": digest(*(weights[name].numpy() for name in sorted(weights))),
    }


# Enhancement


def picture_named(name: str) -> np.ndarray:
    """A dark picture, uint8 (H, W, 3): one of scikit-image's, darkened, or one of eval15."""
    if name in DEMO:
        return (
            np.asarray(Image.open(Path(skimage.data.__file__).with_name(f"{name}.png")).convert("RGB")) // 10
        )
    return np.asarray(Image.open(EVAL15 / name).convert("RGB"))


def eval15() -> list[str]:
    return sorted(path.name for path in EVAL15.iterdir()) if EVAL15.is_dir() else []


def enhanced(name: str, way: str) -> dict[str, Any]:
    """What shipped weights make of a picture: a digest, and the means of a 3×3 grid."""
    settings = dict(WAYS[way])
    tile = settings.pop("tile", None)
    picture = picture_named(name)
    if "precision" in settings:
        picture = picture.astype(np.float32) / np.float32(255)
    result = reddit.load(**settings, device="cpu").enhance(picture, tile=tile, seed=1)
    assert result.dtype == picture.dtype and result.shape == picture.shape
    scale = 255 if result.dtype == np.uint8 else 1
    cells = [cell for row in np.array_split(result, 3) for cell in np.array_split(row, 3, axis=1)]
    means = [
        round(float(mean) / scale, 4) for cell in cells for mean in cell.mean(axis=(0, 1), dtype=np.float64)
    ]
    return {"digest": digest(result), "means": means}


def digest(*arrays: np.ndarray) -> str:
    found = hashlib.blake2b(digest_size=16)
    for array in arrays:
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


# The comparison


def records() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(RECORDS.read_text())
    return found


def expected() -> tuple[dict[str, Any], bool]:
    """The record to compare with, and whether it is this machine's."""
    mine = [record for record in records() if record["machine"] == machine()]
    return (mine or records())[0], bool(mine)


@pytest.fixture(autouse=True)
def one_thread_only() -> Iterator[None]:
    with one_thread():
        yield


@pytest.mark.parametrize("family", FAMILIES)
def test_training_is_unchanged(tmp_path: Path, family: str) -> None:
    write_data(tmp_path)
    with working_in(tmp_path):
        found = trained(family)
    record, exact = expected()
    recorded = record["training"][family]
    if exact:
        assert found == recorded
        return
    assert found.keys() == recorded.keys()
    for method, run in found.items():
        for name, tolerance in TOLERANCE[FAMILIES[family]["precision"]].items():
            numbers, known = (list(map(float.fromhex, side[name])) for side in (run, recorded[method]))
            assert numbers == pytest.approx(known, rel=tolerance), f"{method}: {name}"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("picture", DEMO)
def test_demo_pictures_are_unchanged(picture: str, way: str) -> None:
    check_picture(picture, way)


@pytest.mark.skipif(not eval15(), reason=f"{EVAL15} is absent; set REDDIT_SHARED")
@pytest.mark.parametrize("way", EVAL15_WAYS)
def test_eval15_is_unchanged(way: str) -> None:
    assert len(eval15()) == 15
    for picture in eval15():
        check_picture(picture, way)


def check_picture(picture: str, way: str) -> None:
    record, exact = expected()
    found, recorded = enhanced(picture, way), record["pictures"][picture][way]
    if exact:
        assert found == recorded, picture
    else:
        assert found["means"] == pytest.approx(recorded["means"], abs=PICTURE_TOLERANCE), picture


def record() -> None:
    """Write the record of this machine."""
    if not eval15():
        raise SystemExit(f"{EVAL15} is absent: set REDDIT_SHARED to the folder that holds data/LOLv1")
    with one_thread(), tempfile.TemporaryDirectory() as folder, working_in(Path(folder)):
        write_data(Path(folder))
        training = {family: trained(family) for family in FAMILIES}
        pictures = {name: {way: enhanced(name, way) for way in WAYS} for name in DEMO}
        pictures |= {name: {way: enhanced(name, way) for way in EVAL15_WAYS} for name in eval15()}
    others = [r for r in (records() if RECORDS.exists() else []) if r["machine"] != machine()]
    mine = {"machine": machine(), "training": training, "pictures": pictures}
    RECORDS.write_text(json.dumps([*others, mine], indent=1) + "\n")


if __name__ == "__main__":
    record()
