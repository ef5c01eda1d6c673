"""Multistep samplers of second order: DPM-Solver++(2M) and UniPC.

With lambda = log(alpha / sigma), the probability-flow ODE from t to s is solved by

    x_s = (sigma_s / sigma_t) x_t + (alpha_s - (sigma_s / sigma_t) alpha_t) D,

D being the mean of the clean images along the way, weighted by e^lambda: a DDIM step with D as its clean
image. DDIM takes D = x_0(x_t); the samplers here also use what the denoiser said at neighbouring times.

The ends are limits. Where alpha_T = 0, lambda_T = -inf: the step from T has no past and is DDIM's; seen from
the next step, the past is infinitely far, its slope is 0, and the predictor is DDIM's once more. At time 0
lambda = +inf: the whole weight lies at the end of the step, which lands on the denoiser's last clean image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from reddit.diffusion.denoiser import DenoiserFunction
from reddit.diffusion.schedule import NoiseSchedule, Prediction
from reddit.diffusion.trajectory import ddim_step


def sample_dpmpp(
    denoiser: DenoiserFunction,
    schedule: NoiseSchedule,
    x_T: Tensor,  # noqa: N803
    y: Tensor,
    times: Tensor,
    generators: Sequence[torch.Generator] | None = None,
) -> Tensor:
    """DPM-Solver++(2M), second order (Lu et al. 2022, alg. 2); deterministic."""
    levels = schedule.half_log_snr(times).tolist()
    x = x_T
    seen: list[Tensor] = []
    for i in range(len(times) - 1):
        seen = [*seen[-1:], denoiser(x, batched(times[i], x), y).x_0]
        x = _step(schedule, x, _extrapolated(seen, levels, i), times[i], times[i + 1])
    return x


def sample_unipc(
    denoiser: DenoiserFunction,
    schedule: NoiseSchedule,
    x_T: Tensor,  # noqa: N803
    y: Tensor,
    times: Tensor,
    generators: Sequence[torch.Generator] | None = None,
) -> Tensor:
    """UniPC of order 2, B(h) = e^h - 1 ("bh2"), multistep (Zhao et al. 2023); deterministic.

    The predictor is DPM-Solver++(2M)'s; each state but the last is then corrected, at no further call of
    the denoiser, which makes the whole of third order.
    """
    levels = schedule.half_log_snr(times).tolist()
    x = origin = x_T
    seen: list[Tensor] = []
    for i in range(len(times) - 1):
        seen = [*seen[-2:], denoiser(x, batched(times[i], x), y).x_0]
        if i > 0:
            x = _step(schedule, origin, _interpolated(seen, levels, i - 1), times[i - 1], times[i])
        origin = x
        x = _step(schedule, x, _extrapolated(seen, levels, i), times[i], times[i + 1])
    return x


def _extrapolated(seen: list[Tensor], levels: list[float], i: int) -> Tensor:
    """D of the step from i, on the line through the last two clean images: `x_0 + h / 2h' (x_0 - x_0')`."""
    if i == 0 or math.isinf(levels[i + 1]):
        return seen[-1]
    h, h_before = levels[i + 1] - levels[i], levels[i] - levels[i - 1]
    return seen[-1] + h / (2 * h_before) * (seen[-1] - seen[-2])


def _interpolated(seen: list[Tensor], levels: list[float], i: int) -> Tensor:
    """D of the step from i, now that the clean image at its end is known too.

    The mean, with density proportional to e^(hp) at p in [0, 1] of the way, of the parabola through the
    clean images before the step (at p = -h'/h), at its start and at its end. The first step has nothing
    before it and takes the middle between start and end, whatever its length (a_1 = 1/2).
    """
    if i == 0:
        return (seen[-2] + seen[-1]) / 2
    before, start, end = seen
    h = levels[i + 1] - levels[i]
    ratio = h / (levels[i] - levels[i - 1])
    whole = -1 / math.expm1(-h)
    mean = whole - 1 / h
    square = whole - 2 * mean / h
    to_end = (mean + ratio * square) / (1 + ratio)
    to_before = ratio**2 * (square - mean) / (1 + ratio)
    return start + to_end * (end - start) + to_before * (before - start)


def _step(schedule: NoiseSchedule, x_t: Tensor, x_0: Tensor, t: Tensor, s: Tensor) -> Tensor:
    """Carry `x_t` from t to s with `x_0` as the clean image of the whole step."""
    t, s = batched(t, x_t), batched(s, x_t)
    return ddim_step(schedule, Prediction(x_0, schedule.eps_from_x_0(x_t, x_0, t)), s)


def batched(t: Tensor, x: Tensor) -> Tensor:
    """One time as (B,), for each image of `x` and on its device."""
    return t.to(x.device).expand(len(x))
