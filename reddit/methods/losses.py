"""The losses of distillation: equations 6 and 10 to 12."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from reddit.diffusion import NoiseSchedule
from reddit.metrics.filters import gaussian_taps
from reddit.metrics.ssim import similarity_of
from reddit.utils.device import to_device_of

LambdaRule = Literal["max_snr_1", "snr_plus_1", "constant"]


def lambda_weight(schedule: NoiseSchedule, t: Tensor, rule: LambdaRule = "max_snr_1") -> Tensor:
    """Eq. 6, `lambda_t = max(SNR_t, 1)`, (B,), float64; or SNR + 1, or 1 (Salimans & Ho 2022)."""
    if rule == "constant":
        return torch.ones_like(t, dtype=torch.float64)
    snr = schedule.snr(t)
    return snr + 1 if rule == "snr_plus_1" else snr.clamp_min(1)


def weighted_mse(x_0: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Eq. 6 and 10, `mean_b lambda_b · mean (x̂ - target)²`; images (B, 3, H, W), weight (B,)."""
    error = (x_0 - target).square().flatten(1).mean(dim=1)
    return (to_device_of(error, weight) * error).mean()


def illumination_loss(x_0: Tensor, target: Tensor, scale: int = 16) -> Tensor:
    """`mean |A(x̂) - A(target)|`, with A the mean over blocks of `scale` pixels: brightness, not sharpness.

    Not in the paper. The difference between raw and GT-mean PSNR lies in these low frequencies. The absolute
    error aims at the median of the possible targets, not at their mean.
    """
    scale = min(scale, *x_0.shape[-2:])
    return (F.avg_pool2d(x_0, scale) - F.avg_pool2d(target, scale)).abs().mean()


def brightness_loss(x_0: Tensor, target: Tensor) -> Tensor:
    """`mean (m(x̂) - m(target))²`, with m the mean of each channel of each picture.

    Not in the paper. Where a lamp leaves the frame, blocks beside it may change; the whole picture may not.
    """
    return (x_0.mean(dim=(-2, -1)) - target.mean(dim=(-2, -1))).square().mean()


def ssim_loss(x_0: Tensor, target: Tensor) -> Tensor:
    """1 - SSIM, with the Gaussian window, of images in [-1, 1]: (B, 3, H, W) twice → (B,).

    Not in the paper; Zhao et al. 2017.
    """
    with torch.autocast(x_0.device.type, enabled=False):
        x, y = (image.float() / 2 + 0.5 for image in (x_0, target))
        means = [_smooth(m) for m in (x, y, x * x, y * y, x * y)]
        similarity = similarity_of(means)
    return 1 - similarity.flatten(1).mean(dim=1)


def _smooth(image: Tensor) -> Tensor:
    """The window of SSIM by two matrix products, which are faster than `smooth_valid` for a gradient."""
    rows, columns = (_band_matrix(n, image) for n in image.shape[-2:])
    return rows @ image @ columns.mT


def _band_matrix(size: int, like: Tensor) -> Tensor:
    """(size - 10, size): row i holds the taps of the window at columns i … i + 10."""
    taps = torch.tensor(gaussian_taps(11, 1.5), dtype=like.dtype)
    matrix = torch.zeros(size - len(taps) + 1, size, dtype=like.dtype)
    for i, tap in enumerate(taps):
        matrix.diagonal(i).fill_(tap)
    return to_device_of(like, matrix)


def total_loss(l_dis: Tensor, l_pix: Tensor, l_per: Tensor, w_pix: float, w_per: float) -> Tensor:
    """Eq. 12: `L = L_dis + w_pix L_pix + w_per L_per`."""
    return l_dis + w_pix * l_pix + w_per * l_per
