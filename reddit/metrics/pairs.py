"""What every full-reference metric asks of its two pictures."""

from __future__ import annotations

import torch
from torch import Tensor

from reddit.utils.errors import UserError


def check_pair(output: Tensor, gt: Tensor) -> None:
    """Refuse a pair that cannot be compared: both must be finite (B, 3, H, W) of the same size.

    Raises:
        UserError: naming both sizes, or which of the two holds NaN or infinite values.
    """
    check_batch(output, "output")
    check_batch(gt, "ground truth")
    if output.shape != gt.shape:
        raise UserError(
            f"output {size_of(output)} and ground truth {size_of(gt)} differ in size: "
            "compare pictures of the same scene, cropped back to the input's size"
        )


def check_batch(image: Tensor, name: str = "image") -> None:
    """Refuse anything but a finite RGB batch (B, 3, H, W).

    Raises:
        UserError: with the shape found, or with a remedy for values that are not finite.
    """
    if image.ndim != 4 or image.shape[1] != 3:
        raise UserError(f"{name} has shape {tuple(image.shape)}; expected RGB, (B, 3, H, W)")
    if not torch.isfinite(image).all():
        raise UserError(
            f"{name} holds NaN or infinite values: the network has diverged; "
            "take an earlier checkpoint, a lower learning rate, or precision fp32"
        )


def size_of(image: Tensor) -> str:
    """'B x W x H', with B left out where it is 1: how a picture's size reads in a message."""
    size = f"{image.shape[-1]}x{image.shape[-2]}"
    return size if image.shape[0] == 1 else f"{image.shape[0]} x {size}"


def to_eight_bits(image: Tensor) -> Tensor:
    """[0, 1] → the 256 levels of a PNG, still in [0, 1], as float64; clipped, rounded to nearest.

    Agrees with `reddit.image.pixels.to_uint8`, so that a picture in memory scores as its PNG does.
    """
    return image.detach().float().clamp(0, 1).mul(255).round().double() / 255
