"""The samplers against data whose exact denoiser and exact trajectory are closed forms.

Orders are the slopes of log error over log N. The grids end at time 40, where noise remains: to time 0 the
last step is infinitely long in lambda = log(alpha / sigma) whatever N, every sampler takes it at first order,
and its error would hide the others'. They begin at T, zero terminal SNR included.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from reddit.diffusion import SAMPLERS, NoiseSchedule, gaussian_denoiser, gaussian_flow, sample_ddpm

MEAN, DEVIATION = 0.3, 0.5
PAPER = NoiseSchedule()
SCHEDULES = {"paper": PAPER, "zero terminal SNR": NoiseSchedule(zero_terminal_snr=True)}
END = 40.0

schedules = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES.keys())


def pixels() -> Tensor:
    return torch.linspace(-3, 3, 12, dtype=torch.float64).view(1, 3, 2, 2)


def batch(t: float) -> Tensor:
    return torch.tensor([t], dtype=torch.float64)


# The toy itself


@schedules
@pytest.mark.parametrize("t", [30.0, 300.0, 512.0])
def test_the_denoiser_is_the_conditional_mean(schedule: NoiseSchedule, t: float) -> None:
    # By Bayes on a fine grid of clean values.
    alpha, sigma = schedule.alpha(batch(t)).item(), schedule.sigma(batch(t)).item()
    clean = np.linspace(MEAN - 8 * DEVIATION, MEAN + 8 * DEVIATION, 20001)
    found = gaussian_denoiser(schedule, MEAN, DEVIATION)(pixels(), batch(t), pixels())
    for x_t, x_0, eps in zip(*(v.flatten().tolist() for v in (pixels(), *found)), strict=True):
        weight = np.exp(
            -((clean - MEAN) ** 2) / (2 * DEVIATION**2) - (x_t - alpha * clean) ** 2 / (2 * sigma**2)
        )
        mean = (weight * clean).sum() / weight.sum()
        assert x_0 == pytest.approx(mean, abs=1e-9)
        assert eps == pytest.approx((x_t - alpha * mean) / sigma, abs=1e-9)


def test_the_flow_solves_its_differential_equation() -> None:
    # d(x / alpha) = eps d(sigma / alpha), the probability flow in the variables of Song et al. 2020.
    flow = {
        t: gaussian_flow(PAPER, pixels(), batch(400), batch(t), MEAN, DEVIATION) for t in (199.99, 200.01)
    }
    middle = gaussian_flow(PAPER, pixels(), batch(400), batch(200), MEAN, DEVIATION)
    alpha = {t: PAPER.alpha(batch(t)) for t in flow}
    ratio = {t: PAPER.sigma(batch(t)) / alpha[t] for t in flow}
    slope = (flow[200.01] / alpha[200.01] - flow[199.99] / alpha[199.99]) / (ratio[200.01] - ratio[199.99])
    eps = gaussian_denoiser(PAPER, MEAN, DEVIATION)(middle, batch(200), middle).eps
    assert torch.allclose(slope, eps, rtol=0, atol=1e-6)


@schedules
def test_the_flow_turns_noise_into_data_and_back(schedule: NoiseSchedule) -> None:
    there = gaussian_flow(schedule, pixels(), batch(512), batch(0), MEAN, DEVIATION)
    assert torch.allclose(gaussian_flow(schedule, there, batch(0), batch(512), MEAN, DEVIATION), pixels())
    if schedule.zero_terminal_snr:
        assert torch.allclose(there, MEAN + DEVIATION * pixels())


# The samplers


def error(name: str, schedule: NoiseSchedule, steps: int) -> float:
    times = torch.linspace(512, END, steps + 1, dtype=torch.float64)
    denoiser = gaussian_denoiser(schedule, MEAN, DEVIATION)
    ours = SAMPLERS[name](denoiser, schedule, pixels(), pixels(), times)
    exact = gaussian_flow(schedule, pixels(), batch(512), batch(END), MEAN, DEVIATION)
    return (ours - exact).abs().max().item()


@schedules
@pytest.mark.parametrize(("name", "order"), [("ddim", 1), ("dpmpp", 2), ("unipc", 3)])
def test_order(name: str, order: int, schedule: NoiseSchedule) -> None:
    counts = np.array([128, 256, 512])
    errors = np.array([error(name, schedule, int(n)) for n in counts])
    slope = -np.polyfit(np.log(counts), np.log(errors), 1)[0]
    assert slope == pytest.approx(order, abs=0.1)
    assert errors[-1] < 0.01


def ddpm_moments(steps: int) -> tuple[float, float]:
    """Mean and variance of the samples of an N-step DDPM from N(0, 1), carried through its linear steps."""
    mean, variance = 0.0, 1.0
    levels = PAPER.alpha(PAPER.grid(steps)).tolist()
    for a_t, a_s in pairwise(levels):
        beta = 1 - (a_t / a_s) ** 2
        to_x, to_x_0 = a_t / a_s * (1 - a_s**2) / (1 - a_t**2), a_s * beta / (1 - a_t**2)
        slope = a_t * DEVIATION**2 / (a_t**2 * DEVIATION**2 + 1 - a_t**2)  # of E[x_0 | x_t]
        to_x, constant = to_x + to_x_0 * slope, to_x_0 * (1 - slope * a_t) * MEAN
        mean = to_x * mean + constant
        variance = to_x**2 * variance + beta * (1 - a_s**2) / (1 - a_t**2)
    return mean, variance


@pytest.mark.parametrize("steps", [4, 64])
def test_ddpm_is_right_in_distribution(steps: int) -> None:
    generators = [torch.Generator().manual_seed(i) for i in range(2)]
    x_T = torch.randn(2, 3, 128, 128, dtype=torch.float64, generator=generators[0])  # noqa: N806
    ours = sample_ddpm(
        gaussian_denoiser(PAPER, MEAN, DEVIATION), PAPER, x_T, x_T, PAPER.grid(steps), generators
    )
    mean, variance = ddpm_moments(steps)
    assert ours.mean().item() == pytest.approx(mean, abs=5 * (variance / ours.numel()) ** 0.5)
    assert ours.var().item() == pytest.approx(variance, rel=5 * (2 / ours.numel()) ** 0.5)


def test_ddpm_tends_to_the_data() -> None:
    few, many = (abs(ddpm_moments(steps)[1] / DEVIATION**2 - 1) for steps in (64, 512))
    assert many < 0.03
    assert few / many == pytest.approx(8, rel=0.5)
    assert ddpm_moments(512)[0] == pytest.approx(MEAN, abs=0.02)
