from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from known import (
    DEVIATION,
    MEAN,
    PAPER,
    ZERO_SNR,
    Known,
    distance,
    exact_teacher,
    levels,
    linear,
    part,
    pictures,
    shrink,
    tiny_denoiser,
)
from torch import Tensor

from reddit.config import ConsistencyConfig, TrainConfig
from reddit.diffusion import NoiseSchedule, Prediction, gaussian_flow, sample_consistency, sample_ddim
from reddit.methods import ConsistencyDistillation, StepRNG
from reddit.methods.consistency import consistency_function
from reddit.training.state import TrainingState
from reddit.training.step import train_step

SCHEDULES = pytest.mark.parametrize("schedule", [PAPER, ZERO_SNR], ids=["paper", "zero terminal SNR"])


def perfect(schedule: NoiseSchedule, teacher_steps: int) -> Known:
    """From every point of the grid straight to where the exact teacher's DDIM ends from there."""
    grid = schedule.grid(teacher_steps)

    def by(t: Tensor) -> Tensor:
        ways = torch.ones(len(grid), dtype=torch.float64)  # from each point to clean, by steps
        for i in range(len(grid) - 2, -1, -1):
            ways[i] = ways[i + 1] * shrink(schedule, grid[i : i + 1], grid[i + 1 : i + 2]).squeeze()
        return ways[teacher_steps - (t * teacher_steps / schedule.steps).round().long()].view(-1, 1, 1, 1)

    return linear(schedule, by)


def method(student: Known, teacher_steps: int = 16) -> ConsistencyDistillation:
    teacher = exact_teacher(student.schedule)
    return ConsistencyDistillation(
        student, teacher, 1, ConsistencyConfig(), clip=False, teacher_steps=teacher_steps
    )


# The boundary


@pytest.mark.parametrize("prediction", ["v", "eps", "x0"])
def test_the_boundary_condition_holds_exactly(prediction: str) -> None:
    denoiser = tiny_denoiser(prediction=prediction, schedule=PAPER)
    x, y = (2 * pictures(2, dtype=torch.float32)[name] - 1 for name in ("high", "low"))
    at_zero = torch.zeros(2)
    assert torch.equal(consistency_function(denoiser, x, at_zero, y), x)
    if prediction != "x0":  # of itself, without a word from the function
        assert torch.equal(denoiser(x, at_zero, y).x_0, x)


@pytest.mark.parametrize("prediction", ["v", "eps", "x0"])
@pytest.mark.parametrize("t", [512.0, 200.0, 1.0])
def test_c_skip_and_c_out(prediction: str, t: float) -> None:
    denoiser = tiny_denoiser(prediction=prediction, schedule=PAPER)
    x, y = (2 * pictures(2, dtype=torch.float32)[name] - 1 for name in ("high", "low"))
    times = torch.full((2,), t, dtype=torch.float64)
    alpha, sigma = (level.float() for level in levels(PAPER, times))
    c_skip, c_out = {"v": (alpha, -sigma), "eps": (1 / alpha, -sigma / alpha), "x0": (0.0, 1.0)}[prediction]
    expected = c_skip * x + c_out * denoiser.output(x, times, y)
    assert torch.allclose(consistency_function(denoiser, x, times, y), expected, atol=1e-5)


# The loss


@SCHEDULES
@pytest.mark.parametrize("teacher_steps", [1, 4, 16])
def test_a_perfect_student_has_no_loss(schedule: NoiseSchedule, teacher_steps: int) -> None:
    student = perfect(schedule, teacher_steps)
    loss = method(student, teacher_steps).losses(pictures(32), StepRNG(0, 0, range(32)))["loss"]
    assert loss.item() < 1e-18
    loss.backward()
    assert abs(student.offset.grad) < 1e-8


def test_the_loss_of_a_wrong_student() -> None:
    # Its target is as far off and takes the error away, but for the last interval, whose end is known.
    student = perfect(PAPER, 16)
    student.offset.data += 0.25
    loss = method(student).losses(pictures(64), StepRNG(0, 0, range(64)))["loss"]
    x_t, t = student.seen[-1]
    assert set(t.tolist()) == {512 * k / 16 for k in range(1, 17)}
    expected = 0.0
    for i, time in enumerate(t.tolist()):
        now = torch.tensor([time], dtype=torch.float64)
        before = now - 32
        teacher = exact_teacher(PAPER)(x_t[i : i + 1], now, x_t[i : i + 1])
        x_s = PAPER.add_noise(teacher.x_0, teacher.eps, before)
        target = perfect(PAPER, 16)(x_s, before, x_s).x_0 + 0.25 if time > 32 else x_s
        found = perfect(PAPER, 16)(x_t[i : i + 1], now, x_s).x_0 + 0.25
        expected += (found - target).square().mean().item() / 64
    assert loss.item() == pytest.approx(expected, rel=1e-9)
    assert loss.item() == pytest.approx(0.25**2 * (t == 32).double().mean().item(), rel=1e-9)


def test_the_distance_may_be_perceptual() -> None:
    shown = []

    def perceptual(output: Tensor, gt: Tensor) -> Tensor:
        shown.append((output, gt))
        return distance(output, gt)

    settings = ConsistencyConfig(distance="lpips")
    networks = tiny_denoiser(1), tiny_denoiser(2)
    batch = pictures(2, dtype=torch.float32)
    with pytest.raises(ValueError, match="perceptual"):
        ConsistencyDistillation(*networks, 1, settings)
    found = ConsistencyDistillation(*networks, 1, settings, perceptual=perceptual)
    loss = found.losses(batch, StepRNG(0, 0, range(2)))["loss"]
    assert loss.item() == pytest.approx(distance(*shown[0]).mean().item())
    loss.backward()
    assert not shown[0][1].requires_grad


# The target network


def weights(method: ConsistencyDistillation) -> tuple[Tensor, Tensor]:
    """One weight of the student and of its target."""
    return tuple(  # type: ignore[return-value]
        next(iter(d.network.state_dict().values())).clone() for d in (method.denoiser, method.target)
    )


@pytest.mark.parametrize("ema", [0.0, 0.95])
def test_the_target_is_a_moving_average(ema: float) -> None:
    student = tiny_denoiser(1)
    found = ConsistencyDistillation(student, tiny_denoiser(2), 1, ConsistencyConfig(target_ema=ema))
    batch = pictures(4, dtype=torch.float32)
    _, expected = weights(found)
    for iteration in range(3):
        with torch.no_grad():
            for parameter in student.network.parameters():
                parameter += 0.1 * (iteration + 1)
        for first in (0, 2):  # two parts of one batch move it once
            found.losses(part(batch, first, first + 2), StepRNG(0, iteration, range(first, first + 2)))
        ours, average = weights(found)
        expected = ema * expected + (1 - ema) * ours
        assert torch.allclose(average, expected, atol=1e-6)


def test_the_target_is_saved_and_resumed(tmp_path: Path) -> None:
    settings = TrainConfig(lr=1e-2)
    batch = pictures(2, dtype=torch.float32)

    def fresh() -> tuple[ConsistencyDistillation, TrainingState]:
        found = ConsistencyDistillation(tiny_denoiser(1), tiny_denoiser(2), 1, ConsistencyConfig())
        return found, TrainingState(found.denoiser, settings, "fp32")

    def go(found: ConsistencyDistillation, state: TrainingState) -> None:
        train_step(found, [batch], state, seed=0, batch_indices=range(2))
        state.average.update(found.denoiser, state.progress.iteration)
        state.progress.iteration += 1

    whole, state = fresh()
    for _ in range(3):
        go(whole, state)
    state.save(tmp_path / "state.pt")
    go(whole, state)
    resumed, again = fresh()
    again.load(tmp_path / "state.pt")
    go(resumed, again)
    assert all(map(torch.equal, weights(whole), weights(resumed)))
    assert not torch.equal(*weights(whole))


def test_nothing_trains_but_the_student() -> None:
    student, teacher = tiny_denoiser(1), tiny_denoiser(2)
    before = copy.deepcopy(teacher.state_dict())
    found = ConsistencyDistillation(student, teacher, 1, ConsistencyConfig())
    found.losses(pictures(2, dtype=torch.float32), StepRNG(0, 0, range(2)))["loss"].backward()
    assert all(parameter.grad is not None for parameter in student.network.parameters())
    frozen = [*teacher.parameters(), *found.target.network.parameters()]
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in frozen)
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())


# Sampling


@SCHEDULES
def test_one_step_is_the_teachers_sixteen(schedule: NoiseSchedule) -> None:
    noise = torch.randn(2, 3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    teacher = sample_ddim(exact_teacher(schedule), schedule, noise, noise, schedule.grid(16))
    student = sample_consistency(perfect(schedule, 16), schedule, noise, noise, schedule.grid(1))
    assert torch.allclose(student, teacher, rtol=0, atol=1e-12)


@pytest.mark.parametrize("steps", [1, 2, 8])
def test_samples_are_right_in_distribution_at_every_step_count(steps: int) -> None:
    def ends(x_t: Tensor, t: Tensor, y: Tensor) -> Prediction:
        x_0 = gaussian_flow(ZERO_SNR, x_t, t, torch.zeros_like(t), MEAN, DEVIATION)
        return Prediction(x_0, x_0)

    generators = [torch.Generator().manual_seed(i) for i in range(2)]
    noise = torch.randn(2, 3, 128, 128, dtype=torch.float64, generator=generators[0])
    ours = sample_consistency(ends, ZERO_SNR, noise, noise, ZERO_SNR.grid(steps), generators)
    assert ours.mean().item() == pytest.approx(MEAN, abs=5 * DEVIATION / ours.numel() ** 0.5)
    assert ours.std().item() == pytest.approx(DEVIATION, rel=5 * (0.5 / ours.numel()) ** 0.5)
