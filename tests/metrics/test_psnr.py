from __future__ import annotations

import math

import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio

from reddit.image.pixels import to_uint8
from reddit.metrics import psnr
from reddit.utils.errors import UserError


def pair(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    gt = torch.rand(2, 3, 20, 30, generator=generator)
    return (gt + 0.1 * torch.randn(gt.shape, generator=generator)).clamp(0, 1), gt


def test_one_level_everywhere() -> None:
    gt = torch.full((1, 3, 4, 5), 100 / 255)
    assert psnr(gt + 1 / 255, gt).item() == pytest.approx(20 * math.log10(255), abs=1e-9)


def test_by_hand_for_each_picture() -> None:
    gt = torch.zeros(2, 3, 2, 2)
    output = gt.clone()
    output[0, 0, 0, 0] = 12 / 255  # one value in twelve is wrong by 12 levels: MSE 12
    output[1] = 1.0
    expected = [10 * math.log10(255**2 / 12), 0.0]
    assert psnr(output, gt).tolist() == pytest.approx(expected, abs=1e-9)


def test_agrees_with_scikit_image() -> None:
    output, gt = pair()
    expected = [peak_signal_noise_ratio(to_uint8(t), to_uint8(o)) for o, t in zip(output, gt, strict=True)]
    result = psnr(output, gt)
    assert result.dtype == torch.float64
    assert result.tolist() == pytest.approx(expected, abs=1e-9)


def test_equal_pictures_have_infinite_psnr() -> None:
    output, gt = pair()
    result = psnr(torch.stack([gt[0], output[1]]), gt)
    assert result[0] == math.inf
    assert math.isfinite(result[1])


def test_differences_below_half_a_level_do_not_count() -> None:
    gt = torch.full((1, 3, 4, 4), 100 / 255)
    assert psnr(gt + 0.4 / 255, gt).item() == math.inf


def test_values_outside_the_range_are_clipped() -> None:
    assert psnr(torch.full((1, 3, 4, 4), 1.7), torch.ones(1, 3, 4, 4)).item() == math.inf


def test_symmetric() -> None:
    output, gt = pair()
    assert torch.equal(psnr(output, gt), psnr(gt, output))


def test_sizes_in_the_message() -> None:
    with pytest.raises(UserError, match=r"30x20.*31x20"):
        psnr(torch.zeros(1, 3, 20, 30), torch.zeros(1, 3, 20, 31))


def test_not_rgb() -> None:
    with pytest.raises(UserError, match=r"\(1, 1, 20, 30\)"):
        psnr(torch.zeros(1, 1, 20, 30), torch.zeros(1, 1, 20, 30))


def test_nan_is_refused() -> None:
    output, gt = pair()
    output[0, 0, 0, 0] = math.nan
    with pytest.raises(UserError, match=r"output holds NaN"):
        psnr(output, gt)
