"""Restoring dark images with a denoiser: the bridge from [0, 1] images to the diffusion code."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from reddit.diffusion import (
    SAMPLERS,
    STOCHASTIC,
    Denoiser,
    DenoiserFunction,
    NoiseSchedule,
    clipped,
    noise_like,
    step_of,
)
from reddit.image.arrays import THUMBNAIL
from reddit.image.geometry import turn, turn_back
from reddit.inference.noise import NoiseField
from reddit.inference.seeds import view_seed
from reddit.inference.tiling import Span, Tiling, alike, blended_rows
from reddit.utils.arithmetic import arithmetic
from reddit.utils.device import autocast, to_device_of
from reddit.utils.errors import UserError

ReadPart = Callable[[Span, Span], Tensor]
"""(rows, columns) → that part of a picture, (3, h, w), float32 in [0, 1]."""


@torch.inference_mode()
def restore(
    denoiser: Denoiser,
    low: Tensor,
    steps: int,
    seeds: Sequence[int],
    *,
    sampler: str = "ddim",
    clip: bool = True,
    precision: str = "fp32",
    ensemble: int = 1,
) -> Tensor:
    """Sample the restored images of `low`.

    Args:
        low: (B, 3, H, W) in [0, 1], any size, on the denoiser's device.
        steps: sampling steps N.
        seeds: one per picture; the noise depends only on it.
        clip: clip each predicted clean image to [-1, 1].
        ensemble: average over this many samples, 1 to 8, each with another flip or rotation of `low` and
            other noise. The average is closer to the posterior mean than one sample.

    Returns:
        (B, 3, H, W) in [0, 1], float32.

    Raises:
        UserError: the network's output is not finite.
    """
    y = 2 * low.float() - 1

    def sample(view: int) -> Tensor:
        # Noise is drawn on the CPU, so that a seed gives the same picture on every device.
        generators = [torch.Generator().manual_seed(view_seed(seed, view)) for seed in seeds]
        noise = noise_like(y, generators) if uses_noise(denoiser, steps, sampler) else torch.zeros_like(y)
        x_T = turn(noise, view)  # noqa: N806
        turned = turn(y, view).contiguous(memory_format=torch.channels_last)
        denoise = denoiser.condition(None, step_of(sampler, denoiser.schedule, steps))
        with arithmetic(low.device, precision), autocast(low.device, precision):
            x_0 = _sample(denoise, denoiser.schedule, x_T, turned, steps, sampler, clip, generators)
        return turn_back(_picture(x_0), view)

    return _mean(sample(view) for view in range(ensemble))


def restore_rows(
    denoiser: Denoiser,
    read: ReadPart,
    height: int,
    width: int,
    steps: int,
    seed: int,
    tiling: Tiling,
    *,
    sampler: str = "ddim",
    clip: bool = True,
    precision: str = "fp32",
    ensemble: int = 1,
    batch_pixels: int = 0,
) -> Iterator[tuple[int, Tensor]]:
    """`restore` for large pictures, tile by tile; memory grows only with the width.

    Each tile, or few of them, is sampled completely before the next, and only one row of tiles is kept.
    Neighbouring tiles agree because they share the noise of the whole picture (the same as in `restore`), its
    thumbnail, and the network's grid.

    Args:
        batch_pixels: equally large tiles of a row are sampled together up to so many pixels, with the same
            result but for rounding; 0: one by one.

    Yields:
        (first row, rows (3, h, width) in [0, 1]), float32, on the CPU, from top to bottom.

    Raises:
        UserError: a sampler that draws noise at every step, which tiles cannot share.
    """
    if sampler in STOCHASTIC and steps > 1:
        raise UserError(f"the sampler {sampler} does not work in tiles: use --tile 0 (tile=0)")
    weight = next(denoiser.parameters())
    drawn = uses_noise(denoiser, steps, sampler)
    noises = [NoiseField(view_seed(seed, view), height, width) for view in range(ensemble if drawn else 0)]
    context = 2 * to_device_of(weight, _thumbnail(read, height, width), torch.float32) - 1

    @torch.inference_mode()
    def tiles(rows: Span, columns: Sequence[Span]) -> Tensor:
        y = 2 * to_device_of(context, torch.stack([read(rows, part) for part in columns])) - 1
        thumbnails = context.expand(len(y), -1, -1, -1)

        def sample(view: int) -> Tensor:
            noise = torch.zeros_like(y)
            if drawn:
                band = noises[view].rows(rows)
                noise = to_device_of(context, torch.stack([band[:, :, slice(*part)] for part in columns]))
            x_T = turn(noise, view)  # noqa: N806
            turned = turn(y, view).contiguous(memory_format=torch.channels_last)
            step = step_of(sampler, denoiser.schedule, steps)
            denoise = denoiser.condition(turn(thumbnails, view), step)
            with arithmetic(weight.device, precision), autocast(weight.device, precision):
                x_0 = _sample(denoise, denoiser.schedule, x_T, turned, steps, sampler, clip).cpu()
            return turn_back(_picture(x_0), view)

        return _mean(sample(view) for view in range(ensemble))

    for top, band in blended_rows(height, width, tiling, _in_groups(tiles, batch_pixels)):
        yield top, torch.from_numpy(band)


def _in_groups(
    tiles: Callable[[Span, Sequence[Span]], Tensor], pixels: int
) -> Callable[[Span, Sequence[Span]], Iterator[np.ndarray]]:
    """Make the tiles of a row in groups of equally large ones, of up to so many pixels."""

    def row(rows: Span, columns: Sequence[Span]) -> Iterator[np.ndarray]:
        area = (rows[1] - rows[0]) * (columns[0][1] - columns[0][0])
        for group in alike(columns, max(1, pixels // area)):
            yield from tiles(rows, group).numpy()

    return row


def uses_noise(denoiser: Denoiser, steps: int, sampler: str = "ddim") -> bool:
    """Whether the result depends on x_T; not if its only use is masked (`mask_x_T`) and alpha_T is 0."""
    return not (
        denoiser.mask_x_T and denoiser.schedule.zero_terminal_snr and steps == 1 and sampler == "ddim"
    )


def _mean(samples: Iterable[Tensor]) -> Tensor:
    total, count = None, 0
    for sample in samples:
        total, count = sample if total is None else total + sample, count + 1
    assert total is not None
    return total / count if count > 1 else total


def _thumbnail(read: ReadPart, height: int, width: int) -> Tensor:
    """`reddit.image.geometry.thumbnail` of a large picture, (1, 3, 64, 64) in [0, 1], read in parts."""
    spans = [(k * height // THUMBNAIL, -(-(k + 1) * height // THUMBNAIL)) for k in range(THUMBNAIL)]
    rows = [F.adaptive_avg_pool2d(read(span, (0, width))[None], (1, THUMBNAIL)) for span in spans]
    return torch.cat(rows, dim=2)


def _sample(
    denoise: DenoiserFunction,
    schedule: NoiseSchedule,
    x_T: Tensor,  # noqa: N803
    y: Tensor,
    steps: int,
    sampler: str,
    clip: bool,
    generators: Sequence[torch.Generator] | None = None,
) -> Tensor:
    """The sampled clean image."""
    denoise = clipped(denoise, schedule) if clip else denoise
    return SAMPLERS[sampler](denoise, schedule, x_T, y, schedule.grid(steps), generators)


def _picture(x_0: Tensor) -> Tensor:
    """[-1, 1] → [0, 1]; a value that is not finite is an error, never a black pixel. Waits for a GPU."""
    if not x_0.isfinite().all():
        raise UserError(
            "the network's output is not finite: its weights are damaged, or values overflow the "
            "precision; use other weights, or --precision fp32"
        )
    return ((x_0 + 1) / 2).clamp(0, 1)
