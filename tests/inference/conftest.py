from __future__ import annotations

from pathlib import Path

import pytest

from reddit.inference.enhancer import Enhancer
from reddit.inference.loading import load


@pytest.fixture(scope="module")
def model(light_weights: Path) -> Enhancer:
    return load(str(light_weights), device="cpu")
