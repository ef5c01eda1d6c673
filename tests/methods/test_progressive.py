from __future__ import annotations

import pytest
import torch
from known import PAPER, ZERO_SNR, Known, exact_teacher, levels, linear, pictures, shrink, tiny_denoiser
from torch import Tensor

from reddit.config import ProgressiveConfig, ReDDiTConfig
from reddit.diffusion import NoiseSchedule
from reddit.methods import ProgressiveDistillation, ReDDiT, StepRNG
from reddit.methods.losses import LambdaRule

STUDENTS = pytest.mark.parametrize("steps", [8, 4, 2, 1])
SCHEDULES = pytest.mark.parametrize("schedule", [PAPER, ZERO_SNR], ids=["paper", "zero terminal SNR"])


def perfect(schedule: NoiseSchedule, steps: int) -> Known:
    """Lands in one step where the exact teacher lands in two: the closed form of the target."""

    def by(t: Tensor) -> Tensor:
        u, s = t - schedule.steps / (2 * steps), t - schedule.steps / steps
        (alpha_t, sigma_t), (alpha_s, sigma_s) = levels(schedule, t), levels(schedule, s)
        both = shrink(schedule, t, u) * shrink(schedule, u, s)
        return (both - sigma_s / sigma_t) / (alpha_s - sigma_s / sigma_t * alpha_t)

    return linear(schedule, by)


def method(student: Known, steps: int, rule: LambdaRule = "max_snr_1") -> ProgressiveDistillation:
    settings = ProgressiveConfig(lambda_rule=rule)
    return ProgressiveDistillation(student, exact_teacher(student.schedule), steps, settings, clip=False)


@STUDENTS
@SCHEDULES
def test_a_perfect_student_has_no_loss(steps: int, schedule: NoiseSchedule) -> None:
    student = perfect(schedule, steps)
    loss = method(student, steps).losses(pictures(), StepRNG(0, 0, range(8)))["loss"]
    assert loss.item() < 1e-18
    loss.backward()
    assert abs(student.offset.grad) < 1e-8


@STUDENTS
@pytest.mark.parametrize("rule", ["max_snr_1", "snr_plus_1", "constant"])
def test_the_loss_of_a_wrong_student(steps: int, rule: LambdaRule) -> None:
    student = perfect(ZERO_SNR, steps)
    student.offset.data += 0.25
    loss = method(student, steps, rule).losses(pictures(), StepRNG(0, 0, range(8)))["loss"]
    alpha, sigma = levels(ZERO_SNR, student.seen[-1][1])
    snr = (alpha / sigma) ** 2
    weight = {"max_snr_1": snr.clamp_min(1), "snr_plus_1": snr + 1, "constant": torch.ones_like(snr)}[rule]
    assert loss.item() == pytest.approx(0.25**2 * weight.mean().item(), rel=1e-9)


@STUDENTS
def test_the_states_are_the_data_noised_to_the_students_times(steps: int) -> None:
    student, batch = perfect(PAPER, steps), pictures(64)
    method(student, steps).losses(batch, StepRNG(3, 0, range(64)))
    x_t, t = student.seen[-1]
    assert set(t.tolist()) == {512 * k / steps for k in range(1, steps + 1)}
    alpha, sigma = levels(PAPER, t)
    eps = (x_t - alpha * (2 * batch["high"] - 1)) / sigma
    assert torch.allclose(eps, StepRNG(3, 0, range(64)).noise(batch["high"]), atol=1e-9)


@STUDENTS
@pytest.mark.parametrize("clip", [True, False])
def test_it_is_reddit_with_everything_else_off(steps: int, clip: bool) -> None:
    batch = pictures(3, dtype=torch.float32)
    networks = [tiny_denoiser(seed) for seed in (1, 2)]
    losses = [
        kind(networks[0], networks[1], steps, settings, clip).losses(batch, StepRNG(5, 0, range(3)))["loss"]
        for kind, settings in (
            (ProgressiveDistillation, ProgressiveConfig()),
            (ReDDiT, ReDDiTConfig(omega=0.0, w_pix=0.0, w_per=0.0, jitter="none")),
        )
    ]
    assert losses[0].item() == losses[1].item() > 0
