from __future__ import annotations

import pytest
import torch
from known import MEAN, PAPER, ZERO_SNR, Known, distance, exact_teacher, pictures
from torch import Tensor

from reddit.config import RegressionConfig
from reddit.diffusion import NoiseSchedule, sample_ddim
from reddit.methods import Regression, StepRNG

SCHEDULES = pytest.mark.parametrize("schedule", [PAPER, ZERO_SNR], ids=["paper", "zero terminal SNR"])


def following(schedule: NoiseSchedule, share: float) -> Known:
    """Answers `MEAN + share x_t`: of x_T it should follow nothing."""

    def x_0(x_t: Tensor, t: Tensor, y: Tensor) -> Tensor:
        return MEAN + share * x_t

    return Known(schedule, x_0)


def gaussian(size: int) -> dict[str, Tensor]:
    """Ground truths whose pixels, in [-1, 1], are from N(MEAN, 0.2²)."""
    batch = dict(pictures(size))
    noise = torch.randn(size, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    return batch | {"high": (1 + MEAN + 0.2 * noise) / 2}  # type: ignore[dict-item]


def method(student: Known, w_per: float = 0.0) -> Regression:
    teacher = exact_teacher(student.schedule)
    return Regression(
        student, teacher, 1, RegressionConfig(w_per=w_per), perceptual=distance, teacher_steps=16
    )


@SCHEDULES
@pytest.mark.parametrize("share", [0.0, 0.3])
def test_the_loss_is_the_variance_of_data_and_of_answers(schedule: NoiseSchedule, share: float) -> None:
    student = following(schedule, share)
    loss = method(student).losses(gaussian(256), StepRNG(0, 0, range(256)))["loss"]  # type: ignore[arg-type]
    assert loss.item() == pytest.approx(0.2**2 + share**2, rel=0.02)
    loss.backward()
    assert abs(student.offset.grad) < 0.01  # at the posterior mean


@SCHEDULES
def test_it_starts_where_sampling_starts(schedule: NoiseSchedule) -> None:
    student, batch = following(schedule, 0.1), pictures(5)
    method(student).losses(batch, StepRNG(3, 0, range(5)))
    x_t, t = student.seen[-1]
    eps = StepRNG(3, 0, range(5)).noise(batch["high"])
    assert torch.equal(x_t, eps) and t.tolist() == [512.0] * 5
    sample_ddim(student, schedule, eps, batch["low"], schedule.grid(1))
    assert torch.equal(student.seen[-1][0], x_t) and torch.equal(student.seen[-1][1], t)


def test_the_perceptual_loss_is_added() -> None:
    student, batch = following(ZERO_SNR, 0.0), pictures(6)
    found = method(student, w_per=0.5).losses(batch, StepRNG(0, 0, range(6)))
    l_per = ((MEAN + 1) / 2 - batch["high"]).abs().mean()
    assert found["l_per"].item() == pytest.approx(l_per.item())
    assert found["loss"].item() == pytest.approx((found["l_pix"] + 0.5 * l_per).item())
    with pytest.raises(ValueError, match="needs a perceptual distance"):
        Regression(student, exact_teacher(ZERO_SNR), 1, RegressionConfig(w_per=0.5))


def test_only_one_step() -> None:
    assert Regression.students(16) == [1] and Regression.students(1) == []
