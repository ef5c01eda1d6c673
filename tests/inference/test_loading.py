from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import reddit
from reddit.inference.enhancer import Enhancer
from reddit.inference.loading import _shipped, load
from reddit.utils.errors import UserError


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "steps 0"),
        ({"device": "gpu"}, "device 'gpu': must be one of auto, cpu, cuda, mps"),
        ({"precision": "half"}, "precision 'half': must be one of fp32"),
        ({"precision": "fp16", "device": "cpu"}, "fp16 needs a GPU"),
    ],
)
def test_load_refuses_what_it_does_not_know(
    light_weights: Path, settings: dict[str, object], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        load(str(light_weights), **settings)  # type: ignore[arg-type]


def test_enhance_uses_the_shipped_weights(
    light_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: Enhancer
) -> None:
    (tmp_path / "light-2.safetensors").write_bytes(light_weights.read_bytes())
    monkeypatch.setattr("reddit.checkpoint.shipped.FOLDER", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("reddit.inference.loading._shipped", _shipped.__wrapped__)  # without its cache
    low = np.random.default_rng(0).integers(0, 40, (20, 31, 3), np.uint8)
    assert np.array_equal(reddit.enhance(low, seed=3), model.enhance(low, seed=3))
    with pytest.raises(UserError, match="the weights 'light' are missing"):
        monkeypatch.setattr("reddit.checkpoint.shipped.FOLDER", tmp_path / "none")
        reddit.enhance(low)
    monkeypatch.setattr("reddit.checkpoint.shipped.FOLDER", tmp_path)
    assert reddit.load("light", steps=5).steps == 5 and reddit.load().steps == 2
