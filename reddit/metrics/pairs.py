"""Checks and rounding shared by the metrics."""

from __future__ import annotations

import torch
from torch import Tensor

from reddit.utils.errors import UserError


def check_pair(output: Tensor, gt: Tensor) -> None:
    """Check that two pictures can be compared: both finite, (B, 3, H, W), and of the same size.

    Raises:
        UserError: names both sizes, or which of the two holds NaN or infinite values.
    """
    check_batch(output, "output")
    check_batch(gt, "ground truth")
    if output.shape != gt.shape:
        raise UserError(
            f"output {size_of(output)} and ground truth {size_of(gt)} differ in size: "
            "compare pictures of the same scene and size"
        )


def check_batch(image: Tensor, name: str = "image") -> None:
    """Check for a finite RGB batch (B, 3, H, W).

    Raises:
        UserError: names the shape, or says that values are not finite.
    """
    if image.ndim != 4 or image.shape[1] != 3:
        raise UserError(f"{name} has shape {tuple(image.shape)}; expected RGB, (B, 3, H, W)")
    if not torch.isfinite(image).all():
        raise UserError(
            f"{name} holds NaN or infinite values: the network has diverged; "
            "use an earlier checkpoint, a lower learning rate, or precision fp32"
        )


def size_of(image: Tensor) -> str:
    """The size for a message: 'B x WxH', or 'WxH' if B is 1."""
    size = f"{image.shape[-1]}x{image.shape[-2]}"
    return size if image.shape[0] == 1 else f"{image.shape[0]} x {size}"


def to_eight_bits(image: Tensor) -> Tensor:
    """Clip and round to the 256 levels of a PNG: float64, still in [0, 1].

    Agrees with `reddit.image.pixels.to_uint8`, so a picture in memory scores as its PNG file does.
    """
    return image.detach().float().clamp(0, 1).mul(255).round().double() / 255
