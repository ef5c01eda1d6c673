from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage import data
from skimage.metrics import structural_similarity

from reddit.image.pixels import to_float
from reddit.metrics import ssim
from reddit.utils.errors import UserError


def noisy_pairs() -> tuple[torch.Tensor, torch.Tensor]:
    """A textured, a dark, and a partly flat picture, 90x123, each with its degraded version."""
    rng = np.random.default_rng(0)
    gt = to_float(data.astronaut()[100:190, 100:223])
    flat = gt.clone()
    flat[:, 20:60] = 1.0
    gts = torch.stack([gt, gt * 0.1, flat])
    noise = torch.from_numpy(rng.normal(0, 0.05, gts.shape)).float()
    return (gts + noise).clamp(0, 1), gts


def scikit_gaussian(output: torch.Tensor, gt: torch.Tensor) -> float:
    _, full = structural_similarity(
        *(x.double().permute(1, 2, 0).numpy() for x in (output, gt)),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=1,
        channel_axis=-1,
        full=True,
    )
    return float(full[5:-5, 5:-5].mean())


def scikit_uniform(output: torch.Tensor, gt: torch.Tensor) -> float:
    arrays = (x.double().permute(1, 2, 0).numpy() for x in (output, gt))
    return float(structural_similarity(*arrays, data_range=1, channel_axis=-1))


@pytest.mark.parametrize(
    ("window", "reference"), [("gaussian", scikit_gaussian), ("uniform", scikit_uniform)]
)
def test_agrees_with_scikit_image(window, reference) -> None:
    output, gt = noisy_pairs()
    expected = [reference(o, t) for o, t in zip(output, gt, strict=True)]
    result = ssim(output, gt, window)
    assert result.dtype == torch.float64
    assert result.tolist() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("window", ["gaussian", "uniform"])
def test_identity_symmetry_range(window) -> None:
    output, gt = noisy_pairs()
    assert ssim(gt, gt, window).tolist() == pytest.approx([1.0] * 3, abs=1e-12)
    scores = ssim(output, gt, window)
    assert torch.allclose(scores, ssim(gt, output, window), atol=1e-12, rtol=0)
    assert ((scores > 0) & (scores < 1)).all()
    assert -1 <= ssim(1 - gt[:1], gt[:1], window).item() < 0.5


@pytest.mark.parametrize(("window", "side"), [("gaussian", 11), ("uniform", 7)])
def test_smallest_picture(window, side) -> None:
    picture = torch.rand(1, 3, side, side)
    assert ssim(picture, picture, window).item() == pytest.approx(1)
    with pytest.raises(UserError, match=rf"too small for SSIM.*{side}x{side}"):
        ssim(picture[..., 1:], picture[..., 1:], window)


def test_unknown_window() -> None:
    picture = torch.rand(1, 3, 16, 16)
    with pytest.raises(UserError, match=r"'box' is unknown; choose from gaussian, uniform"):
        ssim(picture, picture, "box")


def test_sizes_in_the_message() -> None:
    with pytest.raises(UserError, match=r"16x20.*16x21"):
        ssim(torch.rand(1, 3, 20, 16), torch.rand(1, 3, 21, 16))
