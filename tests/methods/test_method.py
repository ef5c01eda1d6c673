from __future__ import annotations

import numpy as np
import pytest
import torch

from reddit.methods import StepRNG
from reddit.methods.method import to_minus_one_one

LIKE = torch.zeros(6, 3, 4, 4)


def numbers(rng: StepRNG, like: torch.Tensor) -> list[torch.Tensor]:
    return [rng.noise(like), rng.uniform(), rng.noise(like), rng.uniform()]


@pytest.mark.parametrize("parts", [2, 3, 6])
def test_micro_batches_draw_the_same_numbers(parts: int) -> None:
    whole = numbers(StepRNG(5, 7, range(6)), LIKE)
    size = 6 // parts
    split = [numbers(StepRNG(5, 7, range(6)[i : i + size]), LIKE[:size]) for i in range(0, 6, size)]
    for one, many in zip(whole, zip(*split, strict=True), strict=True):
        assert torch.equal(one, torch.cat(many))


def test_micro_batches_share_what_is_drawn_once_a_batch() -> None:
    first, second = StepRNG(5, 7, range(3)), StepRNG(5, 7, range(3, 6))
    first.noise(LIKE[:3])  # what each sample draws does not matter
    shared = [(first.batch_uniform(), second.batch_uniform()) for _ in range(4)]
    assert all(a == b for a, b in shared)
    assert len({a for a, _ in shared}) == 4


def test_samples_iterations_and_seeds_differ() -> None:
    seen = [StepRNG(seed, iteration, range(6)).uniform() for seed in (0, 1) for iteration in (0, 1)]
    values = torch.cat(seen).tolist() + [
        StepRNG(s, i, range(1)).batch_uniform() for s in (0, 1) for i in (0, 1)
    ]
    assert len(set(values)) == len(values)


def test_distributions() -> None:
    rng = StepRNG(0, 0, range(4000))
    uniform, noise = rng.uniform(), rng.noise(torch.zeros(4000, 1, 1, 1)).flatten()
    assert uniform.dtype == torch.float64
    assert 0 <= uniform.min() < 0.01 < 0.99 < uniform.max() < 1
    assert uniform.mean().item() == pytest.approx(0.5, abs=4 / np.sqrt(12 * 4000))
    assert noise.mean().item() == pytest.approx(0, abs=4 / np.sqrt(4000))
    assert noise.std().item() == pytest.approx(1, abs=4 / np.sqrt(2 * 4000))
    one = StepRNG(0, 0, range(1)).noise(torch.zeros(1, 3, 64, 64)).double()
    assert one.std().item() == pytest.approx(1, abs=0.03)


def test_noise_is_like_the_image() -> None:
    noise = StepRNG(0, 0, range(2)).noise(torch.zeros(2, 3, 8, 8, dtype=torch.float64))
    assert noise.shape == (2, 3, 8, 8)
    assert noise.dtype == torch.float64
    assert noise.is_contiguous(memory_format=torch.channels_last)


def test_to_minus_one_one() -> None:
    assert to_minus_one_one(torch.tensor([0.0, 0.5, 1.0])).tolist() == [-1, 0, 1]
