"""The conditional U-Net: predicts from the noisy image, the low-light image and the noise level."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reddit.image.geometry import crop_to, thumbnail
from reddit.models.blocks import (
    ContextEncoder,
    Downsample,
    LightBlock,
    NoiseLevelEmbedding,
    NormActConv,
    PixelNorm,
    ResidualBlock,
    SecondEmbedding,
    Upsample,
    each_linear,
)
from reddit.models.compilable import Compilable

LOG_CURVE_GAIN = 255.0


def log_curve(image: Tensor) -> Tensor:
    """Expand the dark range of an image: log(1 + 255 v) / log 256 with v in [0, 1]; in and out in [-1, 1].

    The first 8-bit level above black changes the value by 0.25, the last one below white by 0.001.
    """
    light = (image.float() + 1).clamp_min(0) / 2
    return 2 * torch.log1p(LOG_CURVE_GAIN * light) / torch.log1p(torch.tensor(LOG_CURVE_GAIN)) - 1


class ConditionalUNet(Compilable):
    """The paper's U-Net (SR3 family) with 17,117,315 parameters by default, and light variants of it.

    Args:
        width: channels of the first level.
        multipliers: channels of each level, in units of `width`; each further level halves the size.
        blocks: residual blocks per level on the way down (one more on the way up).
        attention_levels: levels (0 is the finest) with self-attention; the middle always has it.
        groups: groups of every GroupNorm.
        unshuffle: work at 1/unshuffle of the resolution, with pixels folded into channels.
        log_condition: add `log_curve(y)` to the input.
        block: `sr3`, the paper's (GroupNorm, attention); `light`, without both: see `LightBlock`.
        context: condition every block on the thumbnail of the whole low-light image.
        second_input: take a second scalar beside the noise level.
    """

    def __init__(
        self,
        width: int = 64,
        multipliers: Sequence[int] = (1, 1, 2, 2, 4),
        blocks: int = 2,
        attention_levels: Sequence[int] = (3,),
        groups: int = 32,
        unshuffle: int = 1,
        log_condition: bool = False,
        block: Literal["sr3", "light"] = "sr3",
        context: bool = False,
        second_input: bool = False,
    ) -> None:
        super().__init__()
        self.unshuffle = unshuffle
        self.log_condition = log_condition
        self.multiple = unshuffle * 2 ** (len(multipliers) - 1)
        self.takes_context = context
        self.local = block == "light"
        """Whether a pixel depends only on its neighbourhood and the thumbnail, so that tiles agree."""
        fold = unshuffle**2
        channels = [width * m for m in multipliers]
        images_in = 3 if log_condition else 2
        light = block == "light"
        width_embedding = 4 * width if light else width

        def make(channels_in: int, channels_out: int, attention: bool) -> nn.Module:
            if light:
                return LightBlock(channels_in, channels_out, width_embedding)
            return ResidualBlock(channels_in, channels_out, width_embedding, groups, attention)

        self.embedding = NoiseLevelEmbedding(width_embedding)
        self.context = ContextEncoder(3 * (images_in - 1), width_embedding) if context else None
        self.stem = nn.Conv2d(3 * images_in * fold, width, 3, padding=1)
        skips = [width]
        self.down = nn.ModuleList()
        current = width
        for level, channel in enumerate(channels):
            for _ in range(blocks):
                self.down.append(make(current, channel, level in attention_levels))
                current = channel
                skips.append(current)
            if level < len(channels) - 1:
                self.down.append(Downsample(current))
                skips.append(current)
        self.middle = nn.ModuleList([make(current, current, True), make(current, current, False)])
        self.up = nn.ModuleList()
        for level, channel in reversed(list(enumerate(channels))):
            for _ in range(blocks + 1):
                self.up.append(make(current + skips.pop(), channel, level in attention_levels))
                current = channel
            if level > 0:
                self.up.append(Upsample(current))
        if light:
            self.head: nn.Module = nn.Sequential(
                PixelNorm(current), nn.Conv2d(current, 3 * fold, 3, padding=1)
            )
        else:
            self.head = NormActConv(current, 3 * fold, groups)
        self.second = SecondEmbedding(width_embedding) if second_input else None

    def forward(
        self,
        x_t: Tensor,
        y: Tensor,
        alpha: Tensor,
        context: Tensor | None = None,
        second: Tensor | None = None,
    ) -> Tensor:
        """Predict from the noisy image `x_t` and the low-light image `y`, both (B, 3, H, W) in [-1, 1].

        `alpha` (B,) is the noise level of `x_t`. Any H and W: padded by reflection here and cropped back.
        `context` is the `thumbnail` of the picture that `y` is a part of; None: `y` is the whole of it.
        `second` (B,) in [0, 1] is the second scalar, if there is one.
        """
        image, size = self.pad(torch.cat([self._condition(y), x_t], dim=1))
        embedding = self.embedding(alpha)
        if self.second is not None:
            embedding = embedding + self.second(second)
        if self.context is not None:
            small = self._condition(thumbnail(y) if context is None else context)
            embedding = embedding + self.context(small.to(embedding.dtype))
        levels = each_linear(self._levels(), embedding)
        x = self.stem(F.pixel_unshuffle(image, self.unshuffle) if self.unshuffle > 1 else image)
        skips = [x]
        for module in self.down:
            x = module(x) if isinstance(module, Downsample) else module(x, next(levels))
            skips.append(x)
        for module in self.middle:
            x = module(x, next(levels))
        for module in self.up:
            x = (
                module(x)
                if isinstance(module, Upsample)
                else module(torch.cat([x, skips.pop()], 1), next(levels))
            )
        x = self.head(x)
        return crop_to(F.pixel_shuffle(x, self.unshuffle) if self.unshuffle > 1 else x, size)

    def _levels(self) -> list[nn.Linear]:
        """The layer by which each block reads the embedding, in order."""
        return [
            block.level
            for block in (*self.down, *self.middle, *self.up)
            if isinstance(block, (ResidualBlock, LightBlock))
        ]

    def _condition(self, y: Tensor) -> Tensor:
        return torch.cat([y, log_curve(y).to(y.dtype)], dim=1) if self.log_condition else y


def count_parameters(module: nn.Module) -> int:
    """Number of trainable scalars."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)
