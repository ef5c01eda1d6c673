from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from repository import script

from reddit.data.degrade import Camera, darken
from reddit.images import encode

TINY = {
    "name": "tiny",
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
    "train": {"iterations": 2, "batch_size": 2, "validate_every": 2, "validation_pictures": 1},
    "distill": {"w_per": 0.0, "train": {"iterations": 2, "batch_size": 2, "validate_every": 2}},
}


def reproduce(*arguments: str) -> None:
    """Call scripts/reproduce.py, for PSNR and SSIM alone."""
    script("reproduce", *arguments, "--quiet", "--metrics", "psnr")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with a tiny LOL-v1, whose six test pictures are six scenes, and a configuration."""
    where = tmp_path_factory.mktemp("reproduce")
    rng = np.random.default_rng(0)
    for split, count in (("our485", 4), ("eval15", 6)):
        for number in range(count):
            high = np.kron(rng.integers(40, 255, (3, 4, 3)).astype(np.uint8), np.ones((8, 8, 1), np.uint8))
            low = darken(high, Camera(0.05, 8000, 2.0, (1, 1, 1)), rng)
            for side, picture in (("low", low), ("high", high)):
                path = where / "data" / "LOLv1" / split / side / f"{split}-{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(encode(picture))
    (where / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    return where


@pytest.fixture
def inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(folder)
    monkeypatch.delenv("REDDIT_DATA", raising=False)
    return folder
