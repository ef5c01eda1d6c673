"""Separable smoothing, shared by SSIM and NIQE."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor


def gaussian_taps(size: int, sigma: float) -> list[float]:
    """A sampled Gaussian of odd `size`, summing to 1."""
    centre = size // 2
    weights = [math.exp(-((i - centre) ** 2) / (2 * sigma**2)) for i in range(size)]
    return [w / sum(weights) for w in weights]


def smooth_valid(image: Tensor, taps: list[float]) -> Tensor:
    """Correlate the last two axes with the outer product of `taps`: (..., H, W) → (..., H-n+1, W-n+1)."""
    return correlate(correlate(image, taps, axis=-1), taps, axis=-2)


def correlate(image: Tensor, taps: Sequence[float], axis: int, stride: int = 1) -> Tensor:
    """Correlate along one axis: valid region, every `stride`-th value.

    Uses shifted sums, which in float64 on a CPU are several times faster than a convolution.
    """
    windows = image.unfold(axis, len(taps), stride)
    total = windows[..., 0] * taps[0]
    for i in range(1, len(taps)):
        total.add_(windows[..., i], alpha=taps[i])
    return total
