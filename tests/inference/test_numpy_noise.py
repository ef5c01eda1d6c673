from __future__ import annotations

import numpy as np
import pytest
import torch

from reddit.inference.numpy_noise import torch_randn


@pytest.mark.parametrize("count", [16, 17, 31, 32, 1003, 30_000])
@pytest.mark.parametrize("seed", [0, 5, 2**40 + 7, 2**63 - 1])
def test_the_numbers_are_those_of_pytorch(seed: int, count: int) -> None:
    theirs = torch.randn(count, generator=torch.Generator().manual_seed(seed)).numpy()
    assert np.abs(torch_randn(seed, count) - theirs).max() < 1e-5


def test_a_few_numbers() -> None:
    assert torch_randn(1, 3).shape == (3,) and np.isfinite(torch_randn(1, 3)).all()
