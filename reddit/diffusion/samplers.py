"""Samplers: pure functions from noise to image, all with the same signature.

Each takes a denoiser, its schedule, the starting noise `x_T` and the low-light image `y`
(both (B, 3, H, W), `y` in [-1, 1]), and the decreasing times from T to 0 (`schedule.grid(N)`).
It returns the image at the last time, (B, 3, H, W) in [-1, 1].
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor

from reddit.diffusion.denoiser import DenoiserFunction
from reddit.diffusion.multistep import batched, sample_dpmpp, sample_unipc
from reddit.diffusion.schedule import NoiseSchedule
from reddit.diffusion.trajectory import decode
from reddit.utils.device import to_device_of


class Sampler(Protocol):
    def __call__(
        self,
        denoiser: DenoiserFunction,
        schedule: NoiseSchedule,
        x_T: Tensor,  # noqa: N803
        y: Tensor,
        times: Tensor,
        generators: Sequence[torch.Generator] | None = None,
    ) -> Tensor: ...


def sample_ddim(
    denoiser: DenoiserFunction,
    schedule: NoiseSchedule,
    x_T: Tensor,  # noqa: N803
    y: Tensor,
    times: Tensor,
    generators: Sequence[torch.Generator] | None = None,
) -> Tensor:
    """DDIM (Song et al. 2020, eta = 0); deterministic, ignores `generators`."""
    x = x_T
    for t, s in pairwise(times):
        x = decode(denoiser, schedule, x, y, batched(t, x), batched(s, x)).x_s
    return x


def sample_ddpm(
    denoiser: DenoiserFunction,
    schedule: NoiseSchedule,
    x_T: Tensor,  # noqa: N803
    y: Tensor,
    times: Tensor,
    generators: Sequence[torch.Generator] | None = None,
) -> Tensor:
    """Ancestral sampling with the posterior's variance (Ho et al. 2020, eq. 6 and 7).

    With one generator per image, an image's noise does not depend on its batch.
    """
    x = x_T
    for t, s in pairwise(times):
        t_batch, s_batch = batched(t, x), batched(s, x)
        x_0 = denoiser(x, t_batch, y).x_0
        alpha_t, sigma_t = schedule.levels(t_batch, x)
        alpha_s, sigma_s = schedule.levels(s_batch, x)
        step = alpha_t / alpha_s  # x_t = step · x_s + noise of variance `added`
        added = sigma_t**2 - step**2 * sigma_s**2
        mean = (step * sigma_s**2 * x + alpha_s * added * x_0) / sigma_t**2
        deviation = sigma_s * (added / sigma_t**2).clamp_min(0).sqrt()
        x = mean + deviation * noise_like(x, generators)
    return x


def sample_consistency(
    denoiser: DenoiserFunction,
    schedule: NoiseSchedule,
    x_T: Tensor,  # noqa: N803
    y: Tensor,
    times: Tensor,
    generators: Sequence[torch.Generator] | None = None,
) -> Tensor:
    """Multistep consistency sampling (Song et al. 2023, alg. 1): predict x_0, add fresh noise, repeat.

    For students of consistency distillation, whose x_0 is the end of a trajectory, not a mean.
    """
    x = x_T
    for t, s in pairwise(times):
        x_0 = denoiser(x, batched(t, x), y).x_0
        x = schedule.add_noise(x_0, noise_like(x, generators), batched(s, x))
    return x


def sample_ddim_authors(
    denoiser: DenoiserFunction,
    schedule: NoiseSchedule,
    x_T: Tensor,  # noqa: N803
    y: Tensor,
    times: Tensor,
    generators: Sequence[torch.Generator] | None = None,
) -> Tensor:
    """DDIM as in the authors' code (fault D3), for ablation.

    It ends at the level of the first beta instead of clean, which leaves 0.01 eps in the picture. And the
    network receives alpha of the previous, cleaner index. Its output is converted to v at that level and
    read at the level of the step, so that it also works with zero terminal SNR.
    """
    x = x_T
    for t, s in pairwise(times):
        t_batch, s_batch = batched(t, x), batched(s, x)
        earlier = (t_batch - 1).clamp_min(0)
        v = schedule.v_from(*denoiser(x, earlier, y), earlier)
        found = schedule.interpret("v", v, x, t_batch)
        alpha = schedule.levels(s_batch, x)[0].clamp_max(schedule.first_alpha)
        x = alpha * found.x_0 + (1 - alpha**2).sqrt() * found.eps
    return x


def noise_like(image: Tensor, generators: Sequence[torch.Generator] | None = None) -> Tensor:
    """Standard normal noise of the shape (B, C, H, W) of `image`; optionally one generator per image."""
    if generators is None:
        return torch.randn_like(image)
    noise = [
        to_device_of(image, torch.randn(image.shape[1:], generator=g, device=g.device)) for g in generators
    ]
    return torch.stack(noise)


SAMPLERS: dict[str, Sampler] = {
    "ddim": sample_ddim,
    "ddpm": sample_ddpm,
    "dpmpp": sample_dpmpp,
    "unipc": sample_unipc,
    "consistency": sample_consistency,
    "ddim_authors": sample_ddim_authors,
}
STOCHASTIC = frozenset({"ddpm", "consistency"})
"""Samplers that draw noise at every step but the last."""


def step_of(sampler: str, schedule: NoiseSchedule, steps: int) -> float:
    """How far a prediction goes in a sampler of N steps, for a denoiser with a second input (`condition`).

    DDIM's goes to the next time, that of consistency sampling to time 0. Others need the mean E[x_0 | x_t].
    """
    if sampler in ("ddim", "ddim_authors"):
        return schedule.steps / steps
    return float(schedule.steps) if sampler == "consistency" else 0.0
