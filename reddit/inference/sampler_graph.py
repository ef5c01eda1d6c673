"""The whole sampler as a module that can be traced, for pictures of any size."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reddit.diffusion import Denoiser, NoiseSchedule, Prediction, clipped, sample_ddim, without_pure_noise
from reddit.diffusion.levels import LevelMemo
from reddit.image.arrays import THUMBNAIL
from reddit.inference.sampling import uses_noise
from reddit.models import CompactUNet, ConditionalUNet


class Visited(NoiseSchedule):
    """A schedule reduced to the times of a sampler; time k is the k-th of them.

    Its levels are constants, so the graph needs no arithmetic for them.
    """

    def __init__(self, schedule: NoiseSchedule, times: Tensor) -> None:
        self._levels = schedule.alpha(times), schedule.sigma(times)
        self._memo = LevelMemo()

    def alpha(self, t: Tensor) -> Tensor:
        return self._levels[0][t]

    def sigma(self, t: Tensor) -> Tensor:
        return self._levels[1][t]


class Sampler(nn.Module):
    """`reddit.inference.sampling.restore` with DDIM, unrolled steps and the noise as an input.

    Padding, cropping and the thumbnail use indexing and matrix products, because a tracer cannot follow the
    loop of `reddit.image.geometry.pad_to_multiple` and ONNX has no adaptive pooling. The results are equal.
    """

    def __init__(self, denoiser: Denoiser, steps: int, clip: bool) -> None:
        super().__init__()
        network = copy.deepcopy(denoiser.network).to(memory_format=torch.contiguous_format)
        assert isinstance(network, ConditionalUNet | CompactUNet)
        self.uses_noise = uses_noise(denoiser, steps)
        if isinstance(network, CompactUNet) and not self.uses_noise:
            for parent, name, folded in ((network, "stem", network.unshuffle**2), (network.detail, "0", 1)):
                convolution = getattr(parent, name)
                setattr(parent, name, FirstChannels(convolution, convolution.in_channels - 3 * folded))
        self.network = network.requires_grad_(False)  # otherwise a pt2 file keeps every activation
        grid = denoiser.schedule.grid(steps)
        self.schedule = Visited(denoiser.schedule, grid)
        self.second = denoiser.second(grid.float(), grid, denoiser.schedule.steps / steps)
        self.prediction = denoiser.prediction
        self.mask_x_T = denoiser.mask_x_T
        self.clip = clip
        self.register_buffer("times", torch.arange(steps + 1))

    def forward(self, low: Tensor, noise: Tensor | None = None, thumbnail: Tensor | None = None) -> Tensor:
        """The restored image in [0, 1] from `low` (1, 3, H, W) in [0, 1] and standard normal `noise`.

        `noise` may be left out where `uses_noise` is False: it changes nothing.
        `thumbnail` (1, 3, 64, 64) is that of the picture that `low` is a tile of, in [0, 1]. None, or values
        below 0: `low` is the whole of it.
        """
        if noise is None:
            assert not self.uses_noise
            noise = torch.zeros_like(low)
        schedule, whole = self.schedule, 2 * low - 1
        padding = padding_indices(low.shape[2], low.shape[3], self.network.multiple)
        inside = torch.arange(low.shape[2]), torch.arange(low.shape[3])
        padded, context = _at(whole, *padding), averaged(whole)
        if thumbnail is not None:
            context = torch.where(thumbnail < 0, context, 2 * thumbnail - 1)

        def denoise(x_t: Tensor, t: Tensor, y: Tensor) -> Prediction:
            alpha = schedule.alpha(t).to(x_t.dtype)
            if self.uses_noise:
                seen = _at(without_pure_noise(x_t, alpha) if self.mask_x_T else x_t, *padding)
            else:
                seen = torch.zeros_like(padded)
            second = [values[t] for values in self.second]
            output = _at(self.network(seen, padded, alpha, context, *second), *inside)
            return schedule.interpret(self.prediction, output, x_t, t)

        bounded = clipped(denoise, schedule) if self.clip else denoise
        x_0 = sample_ddim(bounded, schedule, noise, whole, self.get_buffer("times"))
        return ((x_0 + 1) / 2).clamp(0, 1)


class FirstChannels(nn.Module):
    """A convolution of the first channels alone, for inputs whose others are zero.

    Channels of zeros follow up to a multiple of 4, which ONNX Runtime computes faster.
    """

    def __init__(self, convolution: nn.Module, used: int) -> None:
        super().__init__()
        assert isinstance(convolution, nn.Conv2d)
        self.used, self.added = used, -used % 4
        weight = F.pad(convolution.weight.detach()[:, :used], (0, 0, 0, 0, 0, self.added))
        self.weight, self.bias, self.padding = nn.Parameter(weight), convolution.bias, convolution.padding

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x[:, : self.used], (0, 0, 0, 0, 0, self.added))
        return F.conv2d(x, self.weight, self.bias, padding=self.padding)  # type: ignore[arg-type]


def padding_indices(height: int, width: int, multiple: int) -> tuple[Tensor, Tensor]:
    """The row and column indices of `reddit.image.geometry.pad_to_multiple`: two int64 vectors.

    Reflection repeats forth and back. Pictures one pixel wide or high repeat their last pixels instead.
    """
    ends = [torch.full((1,), size - 1) for size in (height, width)]
    thin = torch.minimum(ends[0], ends[1]) == 0
    rows, columns = (
        _walk(size, end, thin, multiple) for size, end in zip((height, width), ends, strict=True)
    )
    return rows, columns


def _walk(size: int, end: Tensor, thin: Tensor, multiple: int) -> Tensor:
    # A tracer assumes nothing about a number read from a tensor. About the plain quotient it would assume
    # that it is not 1, and the graph would reject pictures smaller than `multiple`.
    count: int = torch.full((1,), (size + multiple - 1) // multiple).sum().item()  # type: ignore[assignment]
    torch._check(count >= 1)
    place = torch.arange(count * multiple)
    there_and_back = place % (2 * end).clamp_min(1)
    reflected = torch.minimum(there_and_back, 2 * end - there_and_back)
    return torch.where(thin, torch.minimum(place, end), reflected)


def averaged(image: Tensor) -> Tensor:
    """`reddit.image.geometry.thumbnail` as matrix products."""
    return averaging_matrix(image.shape[2]) @ image @ averaging_matrix(image.shape[3]).T


def averaging_matrix(size: int) -> Tensor:
    """(64, size): row i averages positions floor(i s/64) to ceil((i + 1) s/64), as adaptive pooling does."""
    cell, place = torch.arange(THUMBNAIL), torch.arange(size)
    first, end = cell * size // THUMBNAIL, ((cell + 1) * size + THUMBNAIL - 1) // THUMBNAIL
    inside = (place >= first[:, None]) & (place < end[:, None])
    return inside.float() / (end - first)[:, None]


def _at(image: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    return image.index_select(2, rows).index_select(3, columns)
