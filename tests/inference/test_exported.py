from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from reddit.checkpoint.format import load_denoiser
from reddit.diffusion import Denoiser
from reddit.inference.exported import Run, check_sampler
from reddit.inference.sampler_graph import Sampler
from reddit.utils.errors import UserError


def wrong_by(amount: float, denoiser: Denoiser) -> Run:
    def run(low: Tensor, noise: Tensor) -> Tensor:
        with torch.no_grad():
            restored = Sampler(denoiser, 1, True)(low, noise)
        restored[..., 0, 0] += amount
        return restored

    return run


@pytest.mark.parametrize("amount", [0.01, -0.01, float("nan")])
def test_a_difference_is_found(sr3_weights: Path, amount: float) -> None:
    denoiser, _ = load_denoiser(sr3_weights)
    with pytest.raises(UserError, match=r"7×5: largest difference .*tolerated are 0.001"):
        check_sampler(
            wrong_by(amount, denoiser), denoiser, 1, clip=True, tolerated=(1e-3, 1.0), sizes=[(5, 7)]
        )


def test_a_difference_on_average_is_found(sr3_weights: Path) -> None:
    denoiser, _ = load_denoiser(sr3_weights)
    check = {"clip": True, "sizes": [(5, 7)]}
    found = check_sampler(wrong_by(0.35, denoiser), denoiser, 1, tolerated=(1.0, 0.011), **check)
    assert found[0].mean == pytest.approx(0.01, rel=0.01)  # one pixel of 35
    with pytest.raises(UserError, match="do not use it"):
        check_sampler(wrong_by(0.35, denoiser), denoiser, 1, tolerated=(1.0, 0.009), **check)
