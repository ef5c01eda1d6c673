from __future__ import annotations

import pytest
import torch

from reddit.diffusion import NoiseSchedule
from reddit.methods.losses import (
    brightness_loss,
    illumination_loss,
    lambda_weight,
    ssim_loss,
    total_loss,
    weighted_mse,
)
from reddit.metrics import ssim

PAPER = NoiseSchedule()
T = torch.tensor([64.0, 512.0])


def snr_by_hand(t: int) -> float:
    product = 1.0
    for i in range(t + 1):
        product *= 1 - (1e-4 + (2e-2 - 1e-4) * i / 512)
    return product / (1 - product)


def test_lambda_rules() -> None:
    light, heavy = snr_by_hand(64), snr_by_hand(512)
    assert light > 1 > heavy
    assert lambda_weight(PAPER, T).tolist() == pytest.approx([light, 1.0], rel=1e-10)
    assert lambda_weight(PAPER, T, "snr_plus_1").tolist() == pytest.approx([light + 1, heavy + 1], rel=1e-10)
    assert lambda_weight(PAPER, T, "constant").tolist() == [1.0, 1.0]


def test_lambda_is_the_larger_of_the_two_errors() -> None:
    # Equation 6: an error d of the clean image is an error (alpha / sigma) d of the noise.
    d = 0.1
    for t, weight in zip(T, lambda_weight(PAPER, T), strict=True):
        noise_error = (PAPER.alpha(t) / PAPER.sigma(t)).item() * d
        assert weight.item() * d**2 == pytest.approx(max(d**2, noise_error**2), rel=1e-10)


def test_weighted_mse_by_hand() -> None:
    x_0 = torch.zeros(2, 3, 2, 2)
    target = torch.zeros(2, 3, 2, 2)
    target[0, 0, 0, 0] = 3.0  # one of twelve: mean square 0.75
    target[1] = -0.5  # mean square 0.25
    weight = torch.tensor([2.0, 10.0], dtype=torch.float64)
    assert weighted_mse(x_0, target, weight).item() == pytest.approx((2 * 0.75 + 10 * 0.25) / 2)
    assert weighted_mse(target, target, weight).item() == 0.0


def test_weighted_mse_keeps_single_precision() -> None:
    images = torch.zeros(1, 3, 2, 2)
    assert weighted_mse(images, images, torch.ones(1, dtype=torch.float64)).dtype == torch.float32


def test_total_loss_by_hand() -> None:
    parts = torch.tensor(0.5), torch.tensor(2.0), torch.tensor(4.0)
    assert total_loss(*parts, w_pix=0.1, w_per=0.2).item() == pytest.approx(0.5 + 0.2 + 0.8)


def test_illumination_loss_sees_brightness_and_not_texture() -> None:
    x_0 = torch.rand(2, 3, 64, 48, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert illumination_loss(x_0 + 0.25, x_0).item() == pytest.approx(0.25, rel=1e-12)
    texture = torch.tensor([[1.0, -1.0], [-1.0, 1.0]], dtype=torch.float64).repeat(32, 24)
    assert illumination_loss(x_0 + texture, x_0).item() == pytest.approx(0, abs=1e-12)
    half = torch.zeros_like(x_0)
    half[..., :32, :] = 0.5  # half of the blocks too bright
    assert illumination_loss(x_0 + half, x_0).item() == pytest.approx(0.25, rel=1e-12)
    assert illumination_loss(x_0[..., :5, :5], x_0[..., :5, :5] - 0.1).item() == pytest.approx(0.1, rel=1e-9)


def test_brightness_loss_sees_the_mean_of_each_channel_alone() -> None:
    x_0 = torch.rand(2, 3, 8, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert brightness_loss(x_0.flip(-1), x_0).item() == pytest.approx(0, abs=1e-12)
    warmer = x_0 + torch.tensor([0.3, 0.0, -0.3], dtype=torch.float64).view(3, 1, 1)
    assert brightness_loss(warmer, x_0).item() == pytest.approx(0.06, rel=1e-12)


def test_ssim_loss_is_one_minus_the_metric() -> None:
    generator = torch.Generator().manual_seed(0)
    gt = torch.rand(2, 3, 40, 33, generator=generator)
    output = (gt + 0.1 * torch.randn(gt.shape, generator=generator)).clamp(0, 1)
    loss = ssim_loss(output * 2 - 1, gt * 2 - 1)
    torch.testing.assert_close(loss.double(), 1 - ssim(output, gt), atol=1e-5, rtol=0)


def test_ssim_loss_keeps_its_precision_under_autocast() -> None:
    gt = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    output = (gt * 0.9).mul(2).sub(1).requires_grad_()
    expected = ssim_loss(output, gt * 2 - 1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = ssim_loss(output, gt * 2 - 1)
    assert torch.equal(loss, expected)
    loss.sum().backward()
    assert output.grad is not None
    assert output.grad.isfinite().all()
