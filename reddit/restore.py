"""Restoring dark images with a denoiser: the bridge from [0, 1] images to the diffusion code."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from reddit.build import autocast
from reddit.diffusion import SAMPLERS, Denoiser, clipped, noise_like


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
) -> Tensor:
    """Sample the restored images of `low`.

    Args:
        low: (B, 3, H, W) in [0, 1], any size, on the denoiser's device.
        steps: sampling steps N.
        seeds: one a picture; the noise depends on it and on nothing else.
        clip: hold each predicted clean image in [-1, 1].

    Returns:
        (B, 3, H, W) in [0, 1], float32.
    """
    # Noise is drawn on the processor, so that a seed means the same picture on every device.
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    y = (2 * low.float() - 1).contiguous(memory_format=torch.channels_last)
    x_T = noise_like(y, generators)  # noqa: N806
    schedule = denoiser.schedule
    with autocast(low.device, precision):
        x_0 = SAMPLERS[sampler](
            clipped(denoiser, schedule) if clip else denoiser,
            schedule,
            x_T,
            y,
            schedule.grid(steps),
            generators,
        )
    return ((x_0 + 1) / 2).clamp(0, 1)


def picture_seed(seed: int, fingerprint: str) -> int:
    """The noise seed of one picture in a run with `seed`: its pixels decide, not its place in a batch."""
    return (int(fingerprint, 16) ^ (seed * 0x9E3779B97F4A7C15)) % 2**63
