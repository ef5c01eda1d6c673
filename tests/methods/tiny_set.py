"""A data set of a few tiny pictures, and its configuration."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml

from reddit.images import encode

TINY = {
    "name": "tiny",
    "device": "cpu",
    "precision": "fp32",
    "data": {"dataset": "lolv1", "crop": 16, "validation": 0.3},
    "model": {
        "width": 8,
        "multipliers": [1, 2],
        "blocks": 1,
        "attention_levels": [],
        "groups": 4,
        "prediction": "v",
    },
    "diffusion": {"zero_terminal_snr": True, "teacher_steps": 4},
    "train": {"iterations": 2, "batch_size": 2, "validate_every": 2, "checkpoint_every": 2, "log_every": 1},
    "distill": {
        "w_per": 0.0,
        "denoiser": "gaussian",
        "train": {"iterations": 2, "batch_size": 2, "lr": 1e-3},
    },
}


def prepare(folder: Path) -> None:
    """A tiny LOL-v1, and `tiny.yaml` for it."""
    rng = np.random.default_rng(0)
    for split, count in (("our485", 5), ("eval15", 2)):
        for number in range(count):
            high = np.kron(rng.integers(40, 255, (4, 5, 3)).astype(np.uint8), np.ones((8, 8, 1), np.uint8))
            for side, picture in (("high", high), ("low", high // 8)):
                path = folder / "data" / "LOLv1" / split / side / f"{split}-{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(encode(picture))
    (folder / "tiny.yaml").write_text(yaml.safe_dump(TINY))
