"""Multistep samplers of second order: DPM-Solver++(2M) and UniPC.

With lambda = log(alpha / sigma), the probability-flow ODE from t to s is solved by

    x_s = (sigma_s / sigma_t) x_t + (alpha_s - (sigma_s / sigma_t) alpha_t) D,

where D is the mean of the predicted clean images between t and s, weighted by e^lambda: a DDIM step with D as
its clean image. DDIM takes D = x_0(x_t). The samplers here also use the predictions at neighbouring times.

Both ends are limits. If alpha_T = 0, lambda_T = -inf: the first step has no earlier prediction and is DDIM's.
For the second step the earlier prediction is infinitely far away, so the slope is 0 and it is DDIM's too. At
time 0, lambda = +inf: all weight lies at the end of the step, which is the last predicted clean image.
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

    The predictor is that of DPM-Solver++(2M). Each state but the last is then corrected without another call
    of the denoiser, which raises the order to three.
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
    """D of the step from i, by a line through the last two clean images: `x_0 + h / 2h' (x_0 - x_0')`."""
    if i == 0 or math.isinf(levels[i + 1]):
        return seen[-1]
    h, h_before = levels[i + 1] - levels[i], levels[i] - levels[i - 1]
    return seen[-1] + h / (2 * h_before) * (seen[-1] - seen[-2])


def _interpolated(seen: list[Tensor], levels: list[float], i: int) -> Tensor:
    """D of the step from i, once the clean image at its end is known.

    The mean of a parabola over p in [0, 1], with density proportional to e^(hp). The parabola passes through
    the clean images before the step (p = -h'/h), at its start and at its end. The first step has none before
    it and takes the mean of start and end (a_1 = 1/2).
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
    """Step from `x_t` at t to s with `x_0` as the clean image."""
    t, s = batched(t, x_t), batched(s, x_t)
    return ddim_step(schedule, Prediction(x_0, schedule.eps_from_x_0(x_t, x_0, t)), s)


def batched(t: Tensor, x: Tensor) -> Tensor:
    """A single time repeated for each image of `x`: (B,)."""
    return t.expand(len(x))
