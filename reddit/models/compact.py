"""A compact U-Net for photographs: no normalisation, additive skips, a full-resolution path."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reddit.image.geometry import crop_to, thumbnail
from reddit.models import compact_inference
from reddit.models.blocks import (
    NoiseLevelEmbedding,
    SecondEmbedding,
    doubled,
    each_linear,
    each_linear_at_once,
)
from reddit.models.compilable import Compilable
from reddit.models.unet import log_curve
from reddit.utils.device import to_device_of

CallBlock = Callable[[Any, Tensor, Tensor], Tensor]
"""(block, x, modulation) → the block's result."""
BINS = 8
LUMA = (0.299, 0.587, 0.114)


class PlainBlock(nn.Module):
    """A residual block without normalisation: 1×1 convolution, scale and shift, SiLU, 3×3 convolution.

    The last convolution starts at zero, so an untrained block is the identity. Without normalisation, a tile
    gives the same result as the whole picture.
    """

    def __init__(self, channels: int, embedding: int, padding_mode: Literal["zeros", "replicate"]) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 1)
        self.modulation = nn.Linear(embedding, 2 * channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, padding_mode=padding_mode)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor, modulation: Tensor) -> Tensor:
        """`modulation` is `self.modulation` of the embedding, (B, 2 channels)."""
        scale, shift = modulation[:, :, None, None].chunk(2, dim=1)
        return x + self.second(F.silu(torch.addcmul(shift, self.first(x), 1 + scale)))

    def in_place(self, x: Tensor, modulation: Tensor) -> Tensor:
        """The same of one picture without gradients; `x` is overwritten."""
        return compact_inference.block(x, self.first, self.second, modulation)


class PictureStatistics(nn.Module):
    """Encodes how dark a picture is, from its thumbnail: (B, 3, 64, 64) in [-1, 1] → (B, width).

    The input is a soft histogram of `log_curve` luminance and the mean colour: too few numbers to recognise a
    scene, and stable when the picture shifts by some pixels.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(BINS + 2, 64), nn.SiLU(), nn.Linear(64, width))

    def forward(self, thumbnail: Tensor) -> Tensor:
        return self.mlp(picture_statistics(thumbnail).to(next(self.parameters()).dtype))


def picture_statistics(thumbnail: Tensor) -> Tensor:
    """(B, 3, H, W) in [-1, 1] → (B, 10): a soft histogram and the mean colour.

    Eight triangular bins of luminance on the log curve, which sum to 1; then the means of red and of blue
    minus that of green, on the log curve.
    """
    thumbnail = thumbnail.float()
    light = (thumbnail * to_device_of(thumbnail, torch.tensor(LUMA)).view(1, 3, 1, 1)).sum(dim=1)
    centres = torch.linspace(-1, 1, BINS, device=thumbnail.device)
    distance = (log_curve(light).flatten(1)[:, None] - centres.view(1, BINS, 1)).abs() * ((BINS - 1) / 2)
    shares = (1 - distance).clamp_min(0).mean(dim=2)
    red, green, blue = log_curve(thumbnail).flatten(2).mean(dim=2).unbind(dim=1)
    return torch.cat([shares, torch.stack([red - green, blue - green], dim=1)], dim=1)


class CompactUNet(Compilable):
    """The network of the shipped weights.

    Args:
        width: channels of the first level.
        multipliers: channels of each level, in units of `width`; each further level halves the size.
        blocks: residual blocks per level, on the way down and again on the way up.
        unshuffle: work at 1/unshuffle of the resolution, with pixels folded into channels.
        detail: channels of the full-resolution path.
        second_input: take a second scalar beside the noise level.
    """

    def __init__(
        self,
        width: int = 32,
        multipliers: Sequence[int] = (1, 2, 3, 4, 4),
        blocks: int = 2,
        unshuffle: int = 2,
        detail: int = 16,
        second_input: bool = False,
    ) -> None:
        super().__init__()
        self.unshuffle = unshuffle
        self.multiple = unshuffle * 2 ** (len(multipliers) - 1)
        self.local = True
        self.scale = 640
        """Longest side of pictures whose light it has learnt; larger ones it sees as a small copy, too."""
        self.takes_context = True
        self.overlap = 128
        """Pixels that neighbouring tiles should share; the receptive field exceeds `ConditionalUNet`'s."""
        channels = [width * m for m in multipliers]
        embedding = 4 * width
        self.embedding = NoiseLevelEmbedding(embedding)
        self.statistics = PictureStatistics(embedding)
        self.stem = nn.Conv2d(9 * unshuffle**2, width, 3, padding=1)

        def level(channel: int) -> nn.ModuleList:
            # At the coarse levels, zeros beyond the border would change the brightness of a margin of a
            # hundred pixels. At the finest level they reach some pixels, and are a tenth faster.
            mode: Literal["zeros", "replicate"] = "zeros" if channel == width else "replicate"
            return nn.ModuleList(PlainBlock(channel, embedding, mode) for _ in range(blocks))

        steps = list(pairwise(channels))
        self.encoder = nn.ModuleList(level(c) for c in channels[:-1])
        self.down = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1, padding_mode="replicate") for a, b in steps)
        self.middle = level(channels[-1])
        self.up = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in steps)
        self.decoder = nn.ModuleList(level(c) for c in channels[:-1])
        self.head = nn.Conv2d(width, (3 + detail // 2) * unshuffle**2, 3, padding=1)
        last = nn.Conv2d(detail, 3, 3, padding=1)
        nn.init.zeros_(last.weight)
        self.detail = nn.Sequential(nn.Conv2d(9 + detail // 2, detail, 3, padding=1), nn.SiLU(), last)
        self.second = SecondEmbedding(embedding) if second_input else None

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
        whole = thumbnail(y) if context is None else context
        embedding = self.embedding(alpha) + self.statistics(whole)
        if self.second is not None:
            embedding = embedding + self.second(second)
        embedding = F.silu(embedding)
        if compact_inference.applies(y):
            parts = zip(*(torch.split(values, 1) for values in (x_t, y, embedding)), strict=True)
            pictures = [self._one_picture(*part) for part in parts]
            return torch.cat(pictures) if len(pictures) > 1 else pictures[0]
        image, size = self.pad(torch.cat([y, log_curve(y).to(y.dtype), x_t], dim=1))
        x = self.stem(F.pixel_unshuffle(image, self.unshuffle))
        modulations = each_linear(self._modulations(), embedding)
        x = self._levels(x, modulations, lambda block, x, modulation: block(x, modulation))
        full = F.pixel_shuffle(self.head(x), self.unshuffle)
        refined = self.detail(torch.cat([full[:, 3:], image.to(full.dtype)], dim=1))
        return crop_to(full[:, :3] + refined, size)

    def _one_picture(self, x_t: Tensor, y: Tensor, embedding: Tensor) -> Tensor:
        """The same for one picture; see `compact_inference`."""
        image, size = compact_inference.network_inputs(x_t, y, self.multiple)
        x = compact_inference.stem(image, self.stem, self.unshuffle)
        modulations = each_linear_at_once(self._modulations(), embedding)
        x = self._levels(x, modulations, lambda block, x, modulation: block.in_place(x, modulation))
        return crop_to(
            compact_inference.full_resolution(x, image, self.head, self.detail, self.unshuffle), size
        )

    def _levels(self, x: Tensor, modulations: Iterator[Tensor], call: CallBlock) -> Tensor:
        """From the stem to the head; `call` is how a block is computed with its modulation."""

        def through(blocks: nn.Module, x: Tensor) -> Tensor:
            for block in blocks.children():
                x = call(block, x, next(modulations))
            return x

        skips = []
        for blocks, down in zip(self.encoder, self.down, strict=True):
            x = through(blocks, x)
            skips.append(x)
            x = down(F.avg_pool2d(x, 2))
        x = through(self.middle, x)
        for blocks, up in zip(reversed(self.decoder), reversed(self.up), strict=True):
            x = through(blocks, doubled(up(x), "bilinear") + skips.pop())
        return x

    def _modulations(self) -> list[nn.Linear]:
        """The layer by which each block reads the embedding, in order."""
        levels = (*self.encoder, self.middle, *reversed(self.decoder))
        return [block.modulation for level in levels for block in level.children()]  # type: ignore[misc]
