from __future__ import annotations

import pytest
import torch
from known import (
    MEAN,
    PAPER,
    ZERO_SNR,
    Known,
    exact_teacher,
    levels,
    of_steps,
    pictures,
    slope,
    teacher_path,
    tiny_denoiser,
    to_reach,
)
from torch import Tensor

from reddit.config import ShortcutConfig
from reddit.diffusion import NoiseSchedule, sample_ddim
from reddit.methods import Shortcut, StepRNG

SCHEDULES = pytest.mark.parametrize("schedule", [PAPER, ZERO_SNR], ids=["paper", "zero terminal SNR"])


def perfect(schedule: NoiseSchedule, teacher_steps: int = 16) -> Known:
    """The shortest steps answer the mean, and longer ones land where as many of the shortest land."""
    spacing = schedule.steps / teacher_steps

    def by(t: Tensor, s: Tensor) -> Tensor:
        short = t - s <= spacing + 1e-9
        end = torch.where(short, t - spacing, s)
        far = to_reach(schedule, teacher_path(schedule, teacher_steps, t, end), t, end)
        return torch.where(short.view(-1, 1, 1, 1), slope(schedule, t), far)

    return of_steps(schedule, by)


def method(student: Known, p_consistency: float, teacher_steps: int = 16) -> Shortcut:
    teacher = exact_teacher(student.schedule)
    settings = ShortcutConfig(p_consistency=p_consistency)
    return Shortcut(student, teacher, 1, settings, clip=False, teacher_steps=teacher_steps)


def velocity_weight(schedule: NoiseSchedule, t: Tensor) -> Tensor:
    alpha, sigma = levels(schedule, t)
    return (1 + alpha / sigma) ** 2


# The loss


@SCHEDULES
@pytest.mark.parametrize("teacher_steps", [2, 4, 16])
def test_a_consistent_student_has_no_loss(schedule: NoiseSchedule, teacher_steps: int) -> None:
    student = perfect(schedule, teacher_steps)
    loss = method(student, 1.0, teacher_steps).losses(pictures(64), StepRNG(0, 0, range(64)))["loss"]
    assert loss.item() < 1e-18
    loss.backward()
    assert abs(student.offset.grad) < 1e-8


@SCHEDULES
def test_the_shortest_step_learns_the_ground_truth(schedule: NoiseSchedule) -> None:
    student, batch = perfect(schedule), pictures(64)
    loss = method(student, 0.0).losses(batch, StepRNG(1, 0, range(64)))["loss"]
    x_t, t = student.seen[-1]
    x_0, eps = 2 * batch["high"] - 1, StepRNG(1, 0, range(64)).noise(batch["high"])
    alpha, sigma = levels(schedule, t)
    assert torch.allclose(x_t, alpha * x_0 + sigma * eps, rtol=0, atol=1e-12)
    found = MEAN + slope(schedule, t) * (x_t - alpha * MEAN)
    velocity = found - (x_t - alpha * found) / sigma
    expected = (velocity - (x_0 - eps)).square().mean().item()  # flow matching
    assert loss.item() == pytest.approx(expected, rel=1e-9)
    assert set(t.tolist()) == {32.0 * k for k in range(1, 17)}
    told = t - student.ends[-1]
    assert told.min() >= 0 and told.max() < 32 and told.std() > 5


@SCHEDULES
def test_the_velocity_of_a_target_is_the_mean_of_its_halves(schedule: NoiseSchedule) -> None:
    """With their lengths in tau as weights; the paper's self-consistency."""
    student = of_steps(schedule, lambda t, s: (1 + (t - s) / 500).view(-1, 1, 1, 1) * slope(schedule, t))
    made = method(student, 1.0)
    made.losses(pictures(64), StepRNG(0, 0, range(64)))
    t, step, _ = made._draw_steps(_after_noise(StepRNG(0, 0, range(64))))
    x_t = student.seen[-1][0]
    target = made._targets(x_t, x_t, x_t, None, t, step, step > 0)

    def tau(time: Tensor) -> Tensor:
        alpha, sigma = levels(schedule, time)
        return sigma / (alpha + sigma)

    def velocity(x: Tensor, time: Tensor, x_0: Tensor) -> Tensor:
        alpha, sigma = levels(schedule, time)
        return x_0 - (x - alpha * x_0) / sigma

    u, s, half = t - step / 2, t - step, student.condition(None, step / 2)
    first = velocity(x_t, t, half(x_t, t, x_t).x_0)
    z_u = x_t / sum(levels(schedule, t)) + (tau(t) - tau(u)) * first
    x_u = z_u * sum(levels(schedule, u))
    second = velocity(x_u, u, half(x_u, u, x_u).x_0)
    mean = ((tau(t) - tau(u)) * first + (tau(u) - tau(s)) * second) / (tau(t) - tau(s))
    assert torch.allclose(velocity(x_t, t, target), mean, rtol=0, atol=1e-9)


def _after_noise(rng: StepRNG) -> StepRNG:
    rng.noise(pictures(len(rng))["high"])
    return rng


def test_the_loss_of_a_wrong_student() -> None:
    """Both halves of the target are off by as much, which the second step carries on."""
    student = perfect(ZERO_SNR)
    student.offset.data += 0.25
    loss = method(student, 1.0).losses(pictures(64), StepRNG(0, 0, range(64)))["loss"]
    t, s = student.seen[-1][1], student.ends[-1]
    u = (t + s) / 2

    def gain(start: Tensor, end: Tensor) -> Tensor:
        (alpha_t, sigma_t), (alpha_s, sigma_s) = levels(ZERO_SNR, start), levels(ZERO_SNR, end)
        return alpha_s - sigma_s / sigma_t * alpha_t

    landed = gain(t, u) * teacher_path(ZERO_SNR, 16, u, s) + gain(u, s)
    # A half of the shortest length multiplies as a DDIM step of the mean, which is the teacher's own.
    off = 0.25 * (1 - landed / gain(t, s))
    expected = (velocity_weight(ZERO_SNR, t) * off**2).mean().item()
    assert loss.item() == pytest.approx(expected, rel=1e-9)


def test_long_steps_are_those_of_the_samplers() -> None:
    made = method(perfect(PAPER), 0.25)
    t, step, doubled = made._draw_steps(StepRNG(0, 0, range(4000)))
    assert doubled.double().mean().item() == pytest.approx(0.25, abs=0.02)
    assert set(step[doubled].tolist()) == {64, 128, 256, 512}
    for n in (8, 4, 2, 1):
        mine = doubled & (step == 512 / n)
        assert set(t[mine].tolist()) == set(PAPER.grid(n)[:-1].tolist())
        assert mine.double().mean().item() == pytest.approx(1 / 16, abs=0.015)


def test_the_network_is_told_the_length_of_the_step() -> None:
    told = []
    denoiser = tiny_denoiser(second_input="step")
    denoiser.network.register_forward_pre_hook(lambda _, inputs: told.append(inputs[4].tolist()))
    x, t = pictures(2, dtype=torch.float32)["high"], torch.tensor([512.0, 128.0], dtype=torch.float64)
    denoiser.condition(None, 128.0)(x, t, x)
    denoiser.condition(None, torch.tensor([512.0, 64.0]))(x, t, x)
    denoiser(x, t, x)
    assert told == [[0.25, 0.25], [1.0, 0.125], [0.0, 0.0]]


@SCHEDULES
@pytest.mark.parametrize("steps", [1, 2, 4, 8, 16])
def test_one_student_for_every_number_of_steps(schedule: NoiseSchedule, steps: int) -> None:
    noise = torch.randn(2, 3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    end = sample_ddim(exact_teacher(schedule), schedule, noise, noise, schedule.grid(16))
    student = perfect(schedule).condition(None, schedule.steps / steps)
    found = sample_ddim(student, schedule, noise, noise, schedule.grid(steps))
    assert torch.allclose(found, end, rtol=0, atol=1e-12)


def test_a_teacher_of_an_odd_number_of_steps_has_the_shortest_step_only() -> None:
    made = method(perfect(PAPER, 3), 1.0, teacher_steps=3)
    assert not made._draw_steps(StepRNG(0, 0, range(50)))[2].any()
