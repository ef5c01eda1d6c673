"""Peak signal-to-noise ratio."""

from __future__ import annotations

import torch
from torch import Tensor

from reddit.metrics.pairs import check_pair, to_eight_bits


@torch.no_grad()
def psnr(output: Tensor, gt: Tensor) -> Tensor:
    """PSNR in dB over all RGB channels, both pictures rounded to 8 bits: 10 log10(255² / MSE).

    Args:
        output, gt: (B, 3, H, W) in [0, 1].

    Returns:
        float64 (B,); infinite where the 8-bit pictures are equal.

    Raises:
        UserError: the shapes differ or are not (B, 3, H, W), or a value is not finite.
    """
    check_pair(output, gt)
    error = (to_eight_bits(output) - to_eight_bits(gt)).square().mean(dim=(1, 2, 3))
    return -10 * torch.log10(error)
