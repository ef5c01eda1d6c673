from __future__ import annotations

from pathlib import Path

import pytest
from torch import Tensor

from reddit.inference import sampling
from reddit.inference.enhancer import Enhancer
from reddit.inference.loading import load
from reddit.inference.sampling import _sample


@pytest.fixture(scope="module")
def model(light_weights: Path) -> Enhancer:
    return load(str(light_weights), device="cpu")


@pytest.fixture
def together(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Lets a processor restore three tiles of 64×64 at a time; the shapes of what the network then sees."""
    shapes: list[tuple[int, ...]] = []

    def recorded(*inputs: object, **settings: object) -> Tensor:
        assert isinstance(inputs[3], Tensor)
        shapes.append(tuple(inputs[3].shape))
        return _sample(*inputs, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(Enhancer, "_batch_pixels", 3 * 64 * 64)
    monkeypatch.setattr(sampling, "_sample", recorded)
    return shapes
