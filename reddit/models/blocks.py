"""Building blocks of the conditional U-Net (SR3 family: Saharia et al. 2021, arXiv 2104.07636)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reddit.models.norm import group_norm, layer_norm
from reddit.utils.device import full_precision


class NoiseLevelEmbedding(nn.Module):
    """Sinusoids of the noise level alpha, then an MLP: (B,) in [0, 1] → (B, width)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        half = width // 2
        self.frequency: Tensor
        # On the processor first: where "meta" is the default device, arange imports the whole compiler.
        frequency = torch.exp(-math.log(1e4) * torch.arange(half, device="cpu") / half)
        frequency = frequency.to(torch.empty(0).device)
        self.register_buffer("frequency", frequency, persistent=False)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.SiLU(), nn.Linear(4 * width, width))

    def forward(self, alpha: Tensor) -> Tensor:
        # Scaled so that levels in [0, 1] differ in phase.
        angle = 1000.0 * alpha.float()[:, None] * self.frequency[None, :]
        return self.mlp(torch.cat([angle.sin(), angle.cos()], dim=1))


class SecondEmbedding(NoiseLevelEmbedding):
    """The same of a second scalar in [0, 1]. It starts at zero, so that it does not change a network yet."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        last = self.mlp[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)


class NormActConv(nn.Sequential):
    """GroupNorm → SiLU → 3×3 convolution."""

    def __init__(self, channels_in: int, channels_out: int, groups: int) -> None:
        super().__init__(
            nn.GroupNorm(groups, channels_in), nn.SiLU(), nn.Conv2d(channels_in, channels_out, 3, padding=1)
        )

    def forward(self, x: Tensor) -> Tensor:
        norm, _, convolution = self
        return convolution(group_norm(x, norm))  # type: ignore[arg-type]


class SelfAttention(nn.Module):
    """Single-head self-attention over all positions, with a residual connection."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1, bias=False)
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        tokens = self.qkv(group_norm(x, self.norm, silu=False)).flatten(2).transpose(1, 2)  # (B, H·W, 3C)
        query, key, value = (part.unsqueeze(1) for part in tokens.chunk(3, dim=2))
        if torch.compiler.is_compiling():  # an export with free sizes cannot compare strides made of sizes
            query, key, value = query.contiguous(), key.contiguous(), value.contiguous()
        mixed = F.scaled_dot_product_attention(query, key, value).squeeze(1)
        return x + self.out(mixed.transpose(1, 2).reshape(batch, channels, height, width))


class ResidualBlock(nn.Module):
    """Two NormActConv with the noise level added between them, and optional attention after them."""

    def __init__(
        self, channels_in: int, channels_out: int, embedding: int, groups: int, attention: bool = False
    ) -> None:
        super().__init__()
        self.first = NormActConv(channels_in, channels_out, groups)
        self.level = nn.Linear(embedding, channels_out)
        self.second = NormActConv(channels_out, channels_out, groups)
        same = channels_in == channels_out
        self.shortcut = nn.Identity() if same else nn.Conv2d(channels_in, channels_out, 1)
        self.attention = SelfAttention(channels_out, groups) if attention else nn.Identity()

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        """`level` is `self.level` of the embedding, (B, channels_out)."""
        hidden = self.first(x) + level[:, :, None, None]
        return self.attention(self.second(hidden) + self.shortcut(x))


class PixelNorm(nn.LayerNorm):
    """Normalise over the channels of each pixel: (B, C, H, W) → the same.

    Unlike GroupNorm, whose statistics cover the whole picture, it gives the same result in a tile.
    """

    def forward(self, x: Tensor) -> Tensor:
        return layer_norm(x.permute(0, 2, 3, 1), self).permute(0, 3, 1, 2)


class LightBlock(nn.Module):
    """A residual block for processors: one norm, a 1×1 convolution, one activation, a 3×3 convolution.

    The embedding scales and shifts the channels between the two convolutions. The second starts at zero,
    so an untrained block is the identity (or its shortcut).
    """

    def __init__(self, channels_in: int, channels_out: int, embedding: int) -> None:
        super().__init__()
        self.norm = PixelNorm(channels_in)
        self.first = nn.Conv2d(channels_in, channels_out, 1)
        self.level = nn.Linear(embedding, 2 * channels_out)
        self.second = nn.Conv2d(channels_out, channels_out, 3, padding=1)
        nn.init.zeros_(self.second.weight)
        same = channels_in == channels_out
        self.shortcut = nn.Identity() if same else nn.Conv2d(channels_in, channels_out, 1)

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        """`level` is `self.level` of the embedding, (B, 2 channels_out)."""
        scale, shift = level[:, :, None, None].chunk(2, dim=1)
        hidden = F.silu(self.first(self.norm(x)) * (1 + scale) + shift)
        return self.second(hidden) + self.shortcut(x)


class ContextEncoder(nn.Module):
    """Encodes the thumbnail of the whole picture: (B, C, 64, 64) → (B, width)."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for channels_out in (32, 64, 96, 128):
            layers += [nn.Conv2d(channels, channels_out, 3, stride=2, padding=1), nn.SiLU()]
            channels = channels_out
        self.layers = nn.Sequential(*layers)
        self.out = nn.Linear(channels, width)

    def forward(self, thumbnail: Tensor) -> Tensor:
        return self.out(self.layers(thumbnail).mean(dim=(2, 3)))


class Downsample(nn.Conv2d):
    """Halve height and width by a strided convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, 3, stride=2, padding=1)


class Upsample(nn.Module):
    """Double height and width: nearest neighbour, then a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(doubled(x, "nearest"))


def doubled(x: Tensor, mode: Literal["nearest", "bilinear"]) -> Tensor:
    """(B, C, H, W) → (B, C, 2H, 2W)."""
    align_corners = False if mode == "bilinear" else None
    if not x.is_cuda:
        return F.interpolate(x, scale_factor=2.0, mode=mode, align_corners=align_corners)
    with full_precision(x.device):  # there, autocast would go on in single precision
        return F.interpolate(x, scale_factor=2.0, mode=mode, align_corners=align_corners)


def each_linear(layers: Sequence[nn.Linear], x: Tensor) -> Iterator[Tensor]:
    """`layer(x)` of each layer, in order; on a GPU in one product."""
    if not x.is_cuda or torch.compiler.is_compiling():
        return (layer(x) for layer in layers)
    return each_linear_at_once(layers, x)


def each_linear_at_once(layers: Sequence[nn.Linear], x: Tensor) -> Iterator[Tensor]:
    """The same in one product on any device; the rounding differs from that of separate ones."""
    weight, bias = (torch.cat([getattr(layer, name) for layer in layers]) for name in ("weight", "bias"))
    sizes = [layer.out_features for layer in layers]
    return iter(torch.split(F.linear(x, weight, bias), sizes, dim=1))
