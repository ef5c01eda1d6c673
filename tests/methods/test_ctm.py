from __future__ import annotations

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
    of_steps,
    pictures,
    slope,
    teacher_path,
    tiny_denoiser,
    to_reach,
)
from torch import Tensor

from reddit.config import CTMConfig
from reddit.diffusion import NoiseSchedule, gaussian_flow, sample_ddim
from reddit.methods import ConsistencyTrajectory, StepRNG
from reddit.methods.ctm import jump

SCHEDULES = pytest.mark.parametrize("schedule", [PAPER, ZERO_SNR], ids=["paper", "zero terminal SNR"])


def perfect(schedule: NoiseSchedule, teacher_steps: int = 16) -> Known:
    """Each step lands where the exact teacher's DDIM lands; one of length 0 answers the mean."""

    def by(t: Tensor, s: Tensor) -> Tensor:
        before = torch.where(s < t, s, t - 1)  # where it is not 0/0
        far = to_reach(schedule, teacher_path(schedule, teacher_steps, t, before), t, before)
        return torch.where((s < t).view(-1, 1, 1, 1), far, slope(schedule, t))

    return of_steps(schedule, by)


def method(student: Known, teacher_steps: int = 16, **settings: float) -> ConsistencyTrajectory:
    teacher = exact_teacher(student.schedule)
    config = CTMConfig(**settings)  # type: ignore[arg-type]
    return ConsistencyTrajectory(student, teacher, 1, config, clip=False, teacher_steps=teacher_steps)


def times(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


# The step


@SCHEDULES
def test_a_step_is_the_flow_if_the_network_knows_it(schedule: NoiseSchedule) -> None:
    def flow(x_t: Tensor, t: Tensor, s: Tensor) -> Tensor:
        """The clean image whose step lands on the exact solution of the ODE."""
        (alpha_t, sigma_t), (alpha_s, sigma_s) = levels(schedule, t), levels(schedule, s)
        x_s = gaussian_flow(schedule, x_t, t, s, MEAN, DEVIATION)
        return (x_s - sigma_s / sigma_t * x_t) / (alpha_s - sigma_s / sigma_t * alpha_t)

    student = Known(schedule, of_step=flow)
    x_t = pictures(3)["high"]
    t, s, r = times(512, 333.3, 7), times(400, 20, 1), times(12, 0, 0)
    x_s = jump(student, x_t, x_t, None, t, s)
    assert torch.allclose(x_s, gaussian_flow(schedule, x_t, t, s, MEAN, DEVIATION), rtol=0, atol=1e-12)
    far, near = jump(student, x_t, x_t, None, t, r), jump(student, x_s, x_t, None, s, r)
    assert torch.allclose(far, near, rtol=0, atol=1e-12)
    deviations = (x_t - levels(schedule, t)[0] * MEAN) / (
        levels(schedule, t)[0] ** 2 * DEVIATION**2 + levels(schedule, t)[1] ** 2
    ).sqrt()
    clean = jump(student, x_t, x_t, None, t, times(0, 0, 0))
    assert torch.allclose(clean, MEAN + DEVIATION * deviations, rtol=0, atol=1e-12)


@pytest.mark.parametrize("prediction", ["v", "eps", "x0"])
def test_a_step_of_length_0_is_none(prediction: str) -> None:
    denoiser = tiny_denoiser(prediction=prediction, schedule=PAPER, second_input="end")
    x = (2 * pictures(3, dtype=torch.float32)["high"] - 1).requires_grad_()
    t = times(512, 100, 0)
    x_s = jump(denoiser, x, x, None, t, t)
    assert torch.equal(x_s, x)
    x_s.sum().backward()
    assert torch.equal(x.grad, torch.ones_like(x))  # type: ignore[arg-type]


def test_the_network_is_told_the_level_of_the_end() -> None:
    told = []
    denoiser = tiny_denoiser(schedule=PAPER, second_input="end")
    denoiser.network.register_forward_pre_hook(lambda _, inputs: told.append(inputs[4]))
    x = pictures(2, dtype=torch.float32)["high"]
    jump(denoiser, x, x, None, times(512, 96), times(256, 0))
    denoiser.condition(None)(x, times(512, 96), x)
    assert told[0].tolist() == pytest.approx(PAPER.alpha(times(256, 0)).tolist(), rel=1e-6)
    assert told[1].tolist() == pytest.approx(PAPER.alpha(times(512, 96)).tolist(), rel=1e-6)


# The loss


@SCHEDULES
@pytest.mark.parametrize("teacher_steps", [1, 4, 16])
def test_a_perfect_student_has_the_loss_of_the_mean_only(schedule: NoiseSchedule, teacher_steps: int) -> None:
    student, batch = perfect(schedule, teacher_steps), pictures(32)
    found = method(student, teacher_steps, w_dsm=0.5).losses(batch, StepRNG(0, 0, range(32)))
    assert found["l_ctm"].item() < 1e-18
    x_t, t = student.seen[-1]
    assert torch.equal(student.ends[-1], t)
    alpha, sigma = levels(schedule, t)
    error = MEAN + slope(schedule, t) * (x_t - alpha * MEAN) - (2 * batch["high"] - 1)
    expected = ((alpha / sigma).square().clamp_min(1) * error**2).mean().item()
    assert found["l_dsm"].item() == pytest.approx(expected, rel=1e-9)
    assert found["loss"].item() == pytest.approx(0.5 * expected, rel=1e-9)
    found["l_ctm"].backward()
    assert abs(student.offset.grad) < 1e-8


@SCHEDULES
def test_the_loss_of_a_wrong_student(schedule: NoiseSchedule) -> None:
    """Each step of a student is off by its gain times the offset; later steps carry that on."""
    student = perfect(schedule)
    student.offset.data += 0.25
    made = method(student, w_dsm=0)
    loss = made.losses(pictures(64), StepRNG(0, 0, range(64)))["loss"]
    t, u, s = made._draw_times(_after_noise(StepRNG(0, 0, range(64))))

    def gain(start: Tensor, end: Tensor) -> Tensor:
        (alpha_t, sigma_t), (alpha_s, sigma_s) = levels(schedule, start), levels(schedule, end)
        return torch.where((end < start).view(-1, 1, 1, 1), alpha_s - sigma_s / sigma_t * alpha_t, 0.0)

    to_clean = torch.where((s > 0).view(-1, 1, 1, 1), teacher_path(schedule, 16, s, 0 * s), 1.0)
    off = 0.25 * (gain(t, s) - gain(u, s)) * to_clean
    expected = (off**2).mean().item()
    assert loss.item() == pytest.approx(expected, rel=1e-9)


def _after_noise(rng: StepRNG) -> StepRNG:
    rng.noise(pictures(len(rng))["high"])
    return rng


def test_the_times_are_ordered_and_lie_on_the_teachers_grid() -> None:
    made = method(perfect(PAPER), 4)
    t, u, s = (time * 4 / 512 for time in made._draw_times(StepRNG(0, 0, range(3000))))
    assert t.dtype == torch.float64
    found = {(int(a), int(b), int(c)) for a, b, c in zip(t, u, s, strict=True)}
    assert found == {(a, b, c) for a in range(1, 5) for c in range(a) for b in range(c, a)}
    # t uniform, s uniform below t, u uniform between.
    share = ((t == 4) & (s == 1) & (u == 2)).double().mean().item()
    assert share == pytest.approx(1 / 4 * 1 / 4 * 1 / 3, abs=0.008)


@SCHEDULES
def test_the_solver_is_the_teachers_ddim(schedule: NoiseSchedule) -> None:
    made = method(perfect(schedule))
    x = pictures(4)["high"]
    t, u = times(512, 512, 96, 32), times(0, 416, 64, 0)
    solved = made.solve(x, x, None, t, u)
    for i in range(4):
        steps = int((t[i] - u[i]) / 32)
        grid = t[i] - 32 * torch.arange(steps + 1, dtype=torch.float64)
        one = x[i : i + 1]
        expected = sample_ddim(exact_teacher(schedule), schedule, one, one, grid)
        assert torch.allclose(solved[i : i + 1], expected, rtol=0, atol=1e-12)
        by = teacher_path(schedule, 16, t[i : i + 1], u[i : i + 1])
        start, end = (levels(schedule, time[i : i + 1])[0] * MEAN for time in (t, u))
        assert torch.allclose(expected, end + by * (one - start), rtol=0, atol=1e-12)


def test_the_distance_may_be_perceptual() -> None:
    networks = tiny_denoiser(1, second_input="end"), tiny_denoiser(2)
    settings = CTMConfig(distance="lpips", w_dsm=0)
    with pytest.raises(ValueError, match="perceptual"):
        ConsistencyTrajectory(*networks, 1, settings)
    shown = []

    def perceptual(output: Tensor, gt: Tensor) -> Tensor:
        shown.append((output, gt))
        return distance(output, gt)

    made = ConsistencyTrajectory(*networks, 1, settings, perceptual=perceptual)
    loss = made.losses(pictures(2, dtype=torch.float32), StepRNG(0, 0, range(2)))["loss"]
    assert loss.item() == pytest.approx(distance(*shown[0]).mean().item())
    loss.backward()
    assert not shown[0][1].requires_grad


# Sampling


@SCHEDULES
@pytest.mark.parametrize("steps", [1, 2, 4, 16])
def test_one_student_samples_the_teachers_end_in_any_number_of_steps(
    schedule: NoiseSchedule, steps: int
) -> None:
    noise = torch.randn(2, 3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    end = sample_ddim(exact_teacher(schedule), schedule, noise, noise, schedule.grid(16))
    student = perfect(schedule).condition(None, schedule.steps / steps)
    found = sample_ddim(student, schedule, noise, noise, schedule.grid(steps))
    assert torch.allclose(found, end, rtol=0, atol=1e-12)
