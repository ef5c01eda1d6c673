"""A LOL-v1 of a few tiny pictures, and the configuration of a small network that trains on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml

from reddit.data.darken import Camera, darken
from reddit.image.write import encode

CAMERA = Camera(exposure=0.05, full_well=8000, read_noise=2.0, white_balance=(1, 1, 1))

NETWORK = {
    "width": 8,
    "multipliers": [1, 2],
    "blocks": 1,
    "attention_levels": [],
    "groups": 4,
    "prediction": "v",
}
TINY: dict[str, Any] = {
    "name": "tiny",
    "device": "cpu",
    "precision": "fp32",
    "data": {"dataset": "lolv1", "crop": 16, "validation": 0.3},
    "model": NETWORK,
    "diffusion": {"zero_terminal_snr": True, "teacher_steps": 4},
    "train": {"iterations": 2, "batch_size": 2, "validate_every": 2, "checkpoint_every": 2, "log_every": 1},
    "distill": {
        "reddit": {"w_per": 0.0, "denoiser": "gaussian"},
        "train": {"iterations": 2, "batch_size": 2, "lr": 1e-3},
    },
}


def write(
    folder: Path, config: dict[str, Any], *, train: int, test: int, coarse: tuple[int, int] = (4, 5)
) -> Path:
    """A tiny LOL-v1 under `folder/data`, and `folder/tiny.yaml`, which it returns. Each picture is a scene.

    Args:
        coarse: rows and columns of blocks of 8×8 pixels.
    """
    rng = np.random.default_rng(0)
    for split, count in (("our485", train), ("eval15", test)):
        for number in range(count):
            high = np.kron(rng.integers(40, 255, (*coarse, 3)), np.ones((8, 8, 1))).astype(np.uint8)
            for side, picture in (("high", high), ("low", darken(high, CAMERA, rng))):
                path = folder / "data" / "LOLv1" / split / side / f"{split}-{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(encode(picture))
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(config))
    return path
