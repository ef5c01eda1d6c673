from __future__ import annotations

import pytest
import torch
from torch import Tensor

from reddit.diffusion import (
    DenoiserFunction,
    NoiseSchedule,
    Prediction,
    ddim_step,
    decode,
    decode_second_order,
    target_gain,
    x0_target,
)

SCHEDULES = [NoiseSchedule(), NoiseSchedule("cosine"), NoiseSchedule(zero_terminal_snr=True)]
STUDENTS = [8, 4, 2, 1]

schedules = pytest.mark.parametrize("schedule", SCHEDULES, ids=["linear", "cosine", "zero terminal SNR"])
students = pytest.mark.parametrize("steps", STUDENTS)


def images(batch: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """x_0, eps and y."""
    generator = torch.Generator().manual_seed(seed)
    x_0, y = (2 * torch.rand(2, batch, 3, 4, 5, generator=generator, dtype=torch.float64) - 1).unbind()
    return x_0, torch.randn(x_0.shape, generator=generator, dtype=torch.float64), y


def oracle(schedule: NoiseSchedule, x_0: Tensor) -> DenoiserFunction:
    """Knows the clean image."""

    def denoise(x_t: Tensor, t: Tensor, y: Tensor) -> Prediction:
        return Prediction(x_0, schedule.eps_from_x_0(x_t, x_0, t))

    return denoise


def arbitrary(schedule: NoiseSchedule) -> DenoiserFunction:
    """Knows nothing; its answer depends on all that it is given."""

    def denoise(x_t: Tensor, t: Tensor, y: Tensor) -> Prediction:
        alpha, _ = schedule.levels(t, x_t)
        x_0 = torch.tanh(0.7 * x_t - 0.4 * y + alpha)
        return Prediction(x_0, schedule.eps_from_x_0(x_t, x_0, t))

    return denoise


def intervals(schedule: NoiseSchedule, steps: int) -> tuple[Tensor, Tensor, Tensor]:
    """t, u, s of every interval of a student of N steps, each (N,)."""
    grid = schedule.grid(2 * steps)
    return grid[:-2:2], grid[1:-1:2], grid[2::2]


def close(a: Tensor, b: Tensor, tolerance: float = 1e-10) -> bool:
    return torch.allclose(a, b, rtol=0, atol=tolerance)


@schedules
def test_decoding_with_the_true_noise_is_the_identity(schedule: NoiseSchedule) -> None:
    t = torch.tensor([512.0, 512.0, 400.0, 77.7, 1.0], dtype=torch.float64)
    s = torch.tensor([0.0, 256.0, 399.0, 3.3, 0.0], dtype=torch.float64)
    x_0, eps, y = images(len(t))
    decoded = decode(oracle(schedule, x_0), schedule, schedule.add_noise(x_0, eps, t), y, t, s)
    assert close(decoded.x_s, schedule.add_noise(x_0, eps, s))
    assert close(decoded.prediction.eps, eps)


@schedules
def test_decoding_to_the_same_time_changes_nothing(schedule: NoiseSchedule) -> None:
    t = torch.tensor([512.0, 33.0], dtype=torch.float64)
    x_t, _, y = images(2)
    assert close(decode(arbitrary(schedule), schedule, x_t, y, t, t).x_s, x_t)


@schedules
@students
def test_second_order_is_two_first_order_steps(schedule: NoiseSchedule, steps: int) -> None:
    denoiser = arbitrary(schedule)
    t, u, s = intervals(schedule, steps)
    _, x_t, y = images(len(t))
    halfway = denoiser(x_t, t, y)
    x_u = ddim_step(schedule, halfway, u)
    at_u = denoiser(x_u, u, y)
    decoded = decode_second_order(denoiser, schedule, x_t, y, t, u, s)
    assert close(decoded.x_s, ddim_step(schedule, at_u, s), 1e-14)
    assert close(decoded.prediction.eps, at_u.eps, 1e-14)
    assert not close(decoded.x_s, ddim_step(schedule, halfway, s), 1e-3)


@schedules
@students
def test_target_of_a_perfect_teacher_is_the_clean_image(schedule: NoiseSchedule, steps: int) -> None:
    t, u, s = intervals(schedule, steps)
    x_0, eps, y = images(len(t))
    x_t = schedule.add_noise(x_0, eps, t)
    decoded = decode_second_order(oracle(schedule, x_0), schedule, x_t, y, t, u, s)
    target = x0_target(schedule, x_t, decoded.x_s, t, s)
    assert close(target.x_0, x_0)
    assert close(target.eps, eps)


@schedules
@students
def test_one_step_with_the_target_lands_where_the_teacher_did(schedule: NoiseSchedule, steps: int) -> None:
    t, u, s = intervals(schedule, steps)
    _, x_t, y = images(len(t))
    x_s = decode_second_order(arbitrary(schedule), schedule, x_t, y, t, u, s).x_s
    target = x0_target(schedule, x_t, x_s, t, s)
    assert close(ddim_step(schedule, target, s), x_s)
    assert close(ddim_step(schedule, target, t), x_t)  # and the pair explains the start as well


@schedules
def test_target_at_the_clean_end_is_the_landing_place(schedule: NoiseSchedule) -> None:
    t = torch.tensor([512.0, 100.0], dtype=torch.float64)
    x_s, x_t, _ = images(2)
    assert torch.equal(x0_target(schedule, x_t, x_s, t, torch.zeros_like(t)).x_0, x_s)


@pytest.mark.parametrize(("steps", "largest"), [(8, 2.76), (4, 1.64), (2, 1.14), (1, 1.0)])
def test_target_gain_of_the_papers_schedule(steps: int, largest: float) -> None:
    schedule = SCHEDULES[0]
    t, _, s = intervals(schedule, steps)
    gain = target_gain(schedule, t, s)
    assert gain.max().item() == pytest.approx(largest, abs=0.005)
    assert gain[-1].item() == 1.0  # s is clean


@schedules
@students
def test_target_gain_is_how_far_the_target_moves(schedule: NoiseSchedule, steps: int) -> None:
    t, u, s = intervals(schedule, steps)
    x_0, x_t, move = images(len(t))
    eps = schedule.eps_from_x_0(x_t, x_0, u)
    before, after = (schedule.add_noise(x, eps, s) for x in (x_0, x_0 + move))
    moved = x0_target(schedule, x_t, after, t, s).x_0 - x0_target(schedule, x_t, before, t, s).x_0
    gain = target_gain(schedule, t, s).view(-1, 1, 1, 1)
    assert close(moved, gain * move)


def test_a_floor_under_the_denominator() -> None:
    # 0 at s = t, negative beyond it; the sound intervals are left as they are.
    schedule = SCHEDULES[0]
    x_t, x_s, _ = images(4)
    t, s = torch.tensor([256.0] * 4), torch.tensor([0.0, 256.0, 270.0, 500.0])
    plain, held = (x0_target(schedule, x_t, x_s, t, s, floor).x_0 for floor in (0.0, 0.1))
    assert not plain[1].isfinite().any()
    alpha, sigma = schedule.alpha(torch.stack([t, s])), schedule.sigma(torch.stack([t, s]))
    denominator = alpha[1] - sigma[1] / sigma[0] * alpha[0]
    assert denominator[2] < 0 < denominator[0]
    assert abs(denominator[2]) < 0.1 < abs(denominator[3])
    assert torch.equal(held[[0, 3]], plain[[0, 3]])
    ratio = (sigma[1] / sigma[0]).view(-1, 1, 1, 1)
    numerator = x_s - ratio * x_t
    assert close(held[1], numerator[1] / 0.1)
    assert close(held[2], numerator[2] / -0.1)
