"""Padding, cropping, turning and averaging down tensors."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from reddit.image.arrays import THUMBNAIL


def thumbnail(image: Tensor) -> Tensor:
    """The whole picture (B, C, H, W) averaged down (or repeated up) to (B, C, 64, 64), float32."""
    if image.device.type == "mps":  # where sides must be divisible by 64
        return F.adaptive_avg_pool2d(image.float().cpu(), THUMBNAIL).to(image.device)
    return F.adaptive_avg_pool2d(image.float(), THUMBNAIL)


def pad_to_multiple(image: Tensor, multiple: int) -> tuple[Tensor, tuple[int, int]]:
    """Reflect-pad (B, C, H, W) at the bottom and right to a multiple; returns the old (H, W).

    Pictures smaller than the padding they need are reflected repeatedly, so any size works.
    """
    height, width = image.shape[-2:]
    while pad := ((-image.shape[-1]) % multiple, (-image.shape[-2]) % multiple):
        if pad == (0, 0):
            break
        step = (min(pad[0], image.shape[-1] - 1), min(pad[1], image.shape[-2] - 1))
        if (pad[0] and not step[0]) or (pad[1] and not step[1]):  # one pixel cannot be reflected
            image = F.pad(image, (0, pad[0], 0, pad[1]), mode="replicate")
            break
        image = F.pad(image, (0, step[0], 0, step[1]), mode="reflect")
    return image, (height, width)


def crop_to(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Undo `pad_to_multiple`."""
    return image[..., : size[0], : size[1]]


def turn(image: Tensor, number: int) -> Tensor:
    """Symmetry `number`, 0 to 7, of (…, H, W): bit 0 flips columns, bit 1 flips rows, bit 2 transposes."""
    if flipped := [axis for bit, axis in ((1, -1), (2, -2)) if number & bit]:
        image = image.flip(flipped)
    return image.transpose(-1, -2) if number & 4 else image


def turn_back(image: Tensor, number: int) -> Tensor:
    """Undo `turn`."""
    if number & 4:
        image = image.transpose(-1, -2)
    flipped = [axis for bit, axis in ((1, -1), (2, -2)) if number & bit]
    return image.flip(flipped) if flipped else image
