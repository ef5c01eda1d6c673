from __future__ import annotations

import math

import pytest
import torch
from known import MEAN, PAPER, ZERO_SNR, Known, exact_teacher, levels, linear, pictures, shrink
from torch import Tensor

from reddit.config import ReflowConfig
from reddit.diffusion import NoiseSchedule, sample_ddim
from reddit.methods import Reflow, StepRNG

TEACHER_STEPS = 16
SCHEDULES = pytest.mark.parametrize("schedule", [PAPER, ZERO_SNR], ids=["paper", "zero terminal SNR"])


def whole_way(schedule: NoiseSchedule) -> float:
    """What the exact teacher's DDIM makes of `x_T - alpha_T MEAN`."""
    grid = schedule.grid(TEACHER_STEPS)
    return math.prod(
        shrink(schedule, grid[i : i + 1], grid[i + 1 : i + 2]).item() for i in range(TEACHER_STEPS)
    )


def perfect(schedule: NoiseSchedule) -> Known:
    """On the straight path of a pair eps, x_1 = MEAN + c (eps - alpha_T MEAN), x_0 follows from x_t."""
    c = whole_way(schedule)
    alpha_T = schedule.alpha(torch.tensor(512.0)).item()  # noqa: N806
    fixed = MEAN * (1 - c * alpha_T)  # x_1 = fixed + c eps

    def x_0(x_t: Tensor, t: Tensor, y: Tensor) -> Tensor:
        alpha, sigma = levels(schedule, t)
        return fixed + c * (x_t - alpha * fixed) / (alpha * c + sigma)

    return Known(schedule, x_0)


def method(student: Known) -> Reflow:
    teacher = exact_teacher(student.schedule)
    return Reflow(student, teacher, 1, ReflowConfig(), clip=False, teacher_steps=TEACHER_STEPS)


def test_a_perfect_student_has_no_loss() -> None:
    student = perfect(ZERO_SNR)
    loss = method(student).losses(pictures(64), StepRNG(0, 0, range(64)))["loss"]
    assert loss.item() < 1e-18
    loss.backward()
    assert abs(student.offset.grad) < 1e-8


@SCHEDULES
def test_the_loss_is_that_of_x_0_with_a_weight(schedule: NoiseSchedule) -> None:
    student = linear(schedule, lambda t: torch.zeros(len(t), 1, 1, 1, dtype=torch.float64))
    loss = method(student).losses(pictures(64), StepRNG(1, 0, range(64)))["loss"]
    eps = StepRNG(1, 0, range(64)).noise(pictures(64)["low"])
    teacher = exact_teacher(schedule)
    x_1 = sample_ddim(teacher, schedule, eps, eps, schedule.grid(TEACHER_STEPS))
    alpha, sigma = levels(schedule, student.seen[-1][1])
    expected = ((1 + alpha / sigma) ** 2 * (MEAN - x_1) ** 2).mean()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-9)


@SCHEDULES
def test_states_lie_on_the_straight_path(schedule: NoiseSchedule) -> None:
    student = perfect(schedule)
    method(student).losses(pictures(600), StepRNG(2, 0, range(600)))
    x_t, t = student.seen[-1]
    rng = StepRNG(2, 0, range(600))
    eps = rng.noise(pictures(600)["low"])
    tau = (1 - rng.uniform()).view(-1, 1, 1, 1)
    alpha_T = schedule.alpha(torch.tensor(512.0)).item()  # noqa: N806
    x_1 = MEAN + whole_way(schedule) * (eps - alpha_T * MEAN)
    z = (1 - tau) * x_1 + tau * eps
    beyond = (t == 512).view(-1)
    inside = ~beyond & (t > 1)
    assert torch.allclose((x_t * torch.hypot(1 - tau, tau))[inside], z[inside], rtol=0, atol=1e-9)
    assert torch.equal(x_t[beyond], eps[beyond])
    # The share of tau beyond the schedule's end, 0 with zero terminal SNR.
    expected = alpha_T / (alpha_T + math.sqrt(1 - alpha_T**2))
    assert beyond.double().mean().item() == pytest.approx(expected, abs=0.04)
    assert (expected == 0) == (not beyond.any())


@pytest.mark.parametrize("steps", [1, 2, 3, 8])
def test_a_straight_path_needs_no_fixed_steps(steps: int) -> None:
    noise = torch.randn(2, 3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    teacher = sample_ddim(exact_teacher(ZERO_SNR), ZERO_SNR, noise, noise, ZERO_SNR.grid(TEACHER_STEPS))
    student = sample_ddim(perfect(ZERO_SNR), ZERO_SNR, noise, noise, ZERO_SNR.grid(steps))
    assert torch.allclose(student, teacher, rtol=0, atol=1e-12)


def test_the_teachers_own_path_is_not_straight() -> None:
    teacher = exact_teacher(ZERO_SNR)
    noise = torch.randn(2, 3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    one, many = (sample_ddim(teacher, ZERO_SNR, noise, noise, ZERO_SNR.grid(n)) for n in (1, 16))
    assert (one - many).abs().max() > 0.1
    assert method(teacher).losses(pictures(64), StepRNG(0, 0, range(64)))["loss"] > 0.01
