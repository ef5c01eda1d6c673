"""Structural similarity (Wang, Bovik, Sheikh and Simoncelli, 2004)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from reddit.metrics.filters import gaussian_taps, smooth_valid
from reddit.metrics.pairs import check_pair, size_of
from reddit.utils.errors import UserError

SsimWindow = Literal["gaussian", "uniform"]

_C1, _C2 = 0.01**2, 0.03**2
_STRIP = 32  # output rows at a time, so that intermediate maps fit into the processor's cache


@torch.no_grad()
def ssim(output: Tensor, gt: Tensor, window: SsimWindow = "gaussian") -> Tensor:
    """SSIM on RGB, the mean over the valid region and the three channels.

    Computed in float64, without rounding; the protocol rounds to 8 bits.

    Args:
        output, gt: (B, 3, H, W) in [0, 1].
        window: "gaussian" is 11x11 with sigma 1.5 (the original definition; MATLAB, BasicSR);
            "uniform" is 7x7 with sample covariance, scikit-image's default.

    Returns:
        float64 (B,), in [-1, 1].

    Raises:
        UserError: the shapes differ, are not (B, 3, H, W), or are smaller than the window;
            a value is not finite; the window is unknown.
    """
    check_pair(output, gt)
    if window == "gaussian":
        taps, bessel = gaussian_taps(11, 1.5), 1.0
    elif window == "uniform":
        taps, bessel = [1 / 7] * 7, 49 / 48
    else:
        raise UserError(f"SSIM window {window!r} is unknown; choose from {', '.join(get_args(SsimWindow))}")
    margin = len(taps) - 1
    if min(output.shape[-2:]) <= margin:
        raise UserError(
            f"{size_of(output[:1])} is too small for SSIM: its window needs {margin + 1}x{margin + 1}"
        )
    return torch.stack([_ssim_of_one(a, b, taps, bessel) for a, b in zip(output, gt, strict=True)])


def _ssim_of_one(x: Tensor, y: Tensor, taps: list[float], bessel: float) -> Tensor:
    """Two pictures (3, H, W) → a float64 scalar."""
    margin = len(taps) - 1
    height, width = x.shape[-2] - margin, x.shape[-1] - margin
    total = torch.zeros((), dtype=torch.float64, device=x.device)
    for top in range(0, height, _STRIP):
        rows = slice(top, top + _STRIP + margin)
        total += _ssim_map(x[:, rows].double(), y[:, rows].double(), taps, bessel).sum()
    return total / (x.shape[0] * height * width)


def _ssim_map(x: Tensor, y: Tensor, taps: list[float], bessel: float) -> Tensor:
    means = smooth_valid(torch.stack([x, y, x * x, y * y, x * y]), taps)
    return similarity_of(means, bessel)


def similarity_of(means: Sequence[Tensor] | Tensor, bessel: float = 1.0) -> Tensor:
    """SSIM of x and y in [0, 1] from the means over a window of x, y, x², y² and xy, each (..., H, W).

    `bessel` is n²/(n² - 1) for sample covariances over n×n pixels.
    """
    mean_x, mean_y, xx, yy, xy = means
    luminance = mean_x.square() + mean_y.square()
    product = mean_x * mean_y
    variance = bessel * (xx + yy - luminance)
    covariance = bessel * (xy - product)
    numerator = (2 * product + _C1) * (2 * covariance + _C2)
    similarity: Tensor = numerator / ((luminance + _C1) * (variance + _C2))
    return similarity
