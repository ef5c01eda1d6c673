"""Reflectance-aware trajectory refinement (RATR): equations 7, 8 and 9.

Illumination, noise and reflectance are in [0, 1]; states of the trajectory in [-1, 1].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from reddit.diffusion import NoiseSchedule, target_gain
from reddit.utils.device import to_device_of

Denoise = Callable[[np.ndarray], np.ndarray]

LUMA = (0.299, 0.587, 0.114)


def illumination(y: Tensor, kind: Literal["max", "mean", "smooth_max"] = "max") -> Tensor:
    """Eq. 7, `h`: (B, 3, H, W) in [0, 1] → (B, 1, H, W) in [0, 1].

    `max` is the maximum over channels (the paper); `smooth_max` averages it over 15×15 pixels; `mean` is the
    mean over channels.
    """
    if kind == "mean":
        return y.mean(dim=1, keepdim=True)
    h = y.amax(dim=1, keepdim=True)
    if kind == "smooth_max":
        h = F.avg_pool2d(F.pad(h, (7, 7, 7, 7), mode="replicate"), 15, stride=1)
    return h


def noise_map(y: Tensor, denoised: Tensor, kind: Literal["magnitude", "signed"] = "magnitude") -> Tensor:
    """Eq. 7, `n = |y - D(y)|`, all (B, 3, H, W) in [0, 1].

    Subtracting a magnitude darkens pixels that noise has already darkened. `signed` keeps the sign, so that
    `y - n` is the denoised picture.
    """
    n = y - denoised
    return n if kind == "signed" else n.abs()


def reflectance(y: Tensor, h: Tensor, n: Tensor, floor: float = 1 / 255) -> Tensor:
    """Eq. 7, `r = (y - n) / max(h, floor)`, clipped to [0, 1]; (B, 3, H, W)."""
    return ((y - n) / h.clamp_min(floor)).clamp(0, 1)


def reflectance_authors(y: Tensor) -> Tensor:
    """The reflectance of the authors' code (fault D1), for ablation: [0, 1] → [-1, 1], (B, 3, H, W).

    It uses values in [-1, 1], whose maximum over channels crosses zero; estimates the noise with a blurred
    grey image (15×15, sigma 3); and divides before it subtracts.
    """
    scaled = 2 * y - 1
    h = scaled.amax(dim=1, keepdim=True)
    h = torch.where(h.abs() < 1e-4, torch.full_like(h, 1e-4), h)
    grey = (scaled * to_device_of(y, torch.tensor(LUMA)).view(1, 3, 1, 1)).sum(1, keepdim=True)
    offsets = torch.arange(-7, 8, device=y.device, dtype=y.dtype)
    kernel = torch.exp(-(offsets**2) / (2 * 3.0**2))
    kernel = kernel / kernel.sum()
    blurred = F.conv2d(F.pad(grey, (7, 7, 0, 0), mode="reflect"), kernel.view(1, 1, 1, 15))
    blurred = F.conv2d(F.pad(blurred, (0, 0, 7, 7), mode="reflect"), kernel.view(1, 1, 15, 1))
    return (scaled / h - (grey - blurred).abs()).clamp(-1, 1)


def remap(schedule: NoiseSchedule, r: Tensor, eps: Tensor, s: Tensor) -> Tensor:
    """Eq. 8: `x̃_s = alpha_s r + sigma_s eps_teacher(x_u)`, with `r` mapped to [-1, 1]."""
    return schedule.add_noise(r, eps, s)


def refine(x_s: Tensor, remapped: Tensor, omega: Tensor) -> Tensor:
    """Eq. 9: `x_s + omega (x̃_s - x_s)`, omega (B,)."""
    return x_s + to_device_of(x_s, omega).view(-1, 1, 1, 1) * (remapped - x_s)


def refinement_strength(
    schedule: NoiseSchedule,
    omega: float,
    t: Tensor,
    s: Tensor,
    space: Literal["trajectory", "clean"] = "trajectory",
) -> Tensor:
    """The omega of eq. 9 for each sample: (B,), float64.

    In `trajectory` space it is omega itself, so the clean-image target moves by omega·g, which varies with t
    (`target_gain`). In `clean` space it is min(omega, 1) / g, so the target moves by omega at every t and
    never beyond the reflectance.
    """
    if space == "trajectory":
        return torch.full_like(t, omega, dtype=torch.float64)
    return min(omega, 1.0) / target_gain(schedule, t, s)
