"""The trajectory decoder and the clean-image target: equations 1 to 5.

Times run t > u > s; each is a tensor (B,). Images are (B, 3, H, W) in [-1, 1].
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from reddit.diffusion.denoiser import DenoiserFunction
from reddit.diffusion.schedule import NoiseSchedule, Prediction


class Decoded(NamedTuple):
    """The state at s, and the last prediction on the way there."""

    x_s: Tensor
    prediction: Prediction


def ddim_step(schedule: NoiseSchedule, prediction: Prediction, s: Tensor) -> Tensor:
    """Eq. 2: `x_s = alpha_s x_0 + sigma_s eps` (Song et al. 2020, DDIM with eta = 0)."""
    return schedule.add_noise(prediction.x_0, prediction.eps, s)


def decode(
    denoiser: DenoiserFunction, schedule: NoiseSchedule, x_t: Tensor, y: Tensor, t: Tensor, s: Tensor
) -> Decoded:
    """Eq. 1 and 2, `G(x_t; t → s)`: one step along the denoiser's trajectory."""
    prediction = denoiser(x_t, t, y)
    return Decoded(ddim_step(schedule, prediction, s), prediction)


def decode_second_order(
    denoiser: DenoiserFunction,
    schedule: NoiseSchedule,
    x_t: Tensor,
    y: Tensor,
    t: Tensor,
    u: Tensor,
    s: Tensor,
) -> Decoded:
    """Eq. 3, `G(x_t; t → u → s)`: two steps through the intermediate time u.

    Returns the prediction made at u; its eps remaps the reflectance (eq. 8).
    """
    x_u = decode(denoiser, schedule, x_t, y, t, u).x_s
    return decode(denoiser, schedule, x_u, y, u, s)


def x0_target(
    schedule: NoiseSchedule, x_t: Tensor, x_s: Tensor, t: Tensor, s: Tensor, floor: float = 0.0
) -> Prediction:
    """Eq. 5: the x_0 whose single DDIM step from `x_t` lands on `x_s`, and the matching eps.

    `x_0 = (x_s - r x_t) / (alpha_s - r alpha_t)` with `r = sigma_s / sigma_t`; at s = 0 it is `x_s`.
    The denominator approaches 0 as s approaches t, and is negative for s > t. `floor` bounds its magnitude
    from below.
    """
    alpha_t, sigma_t = schedule.levels(t, x_t)
    alpha_s, sigma_s = schedule.levels(s, x_t)
    ratio = sigma_s / sigma_t
    denominator = alpha_s - ratio * alpha_t
    if floor > 0:
        sign = torch.where(denominator < 0, -1.0, 1.0).to(x_t.dtype)
        denominator = sign * denominator.abs().clamp_min(floor)
    x_0 = (x_s - ratio * x_t) / denominator
    return Prediction(x_0, (x_t - alpha_t * x_0) / sigma_t)


def target_gain(schedule: NoiseSchedule, t: Tensor, s: Tensor) -> Tensor:
    """`g = alpha_s / (alpha_s - (sigma_s / sigma_t) alpha_t)`, (B,), float64; 1 at s = 0.

    If the clean image in `x_s` moves by d, the target of `x0_target` moves by g d.
    """
    alpha_s, ratio = schedule.alpha(s), schedule.sigma(s) / schedule.sigma(t)
    return alpha_s / (alpha_s - ratio * schedule.alpha(t))
