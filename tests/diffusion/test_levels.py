from __future__ import annotations

import copy
import gc

import pytest
import torch

from reddit.diffusion import NoiseSchedule


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> tuple[NoiseSchedule, list[int]]:
    """A schedule, and a list that grows with each look-up in its table."""
    schedule, looked_up = NoiseSchedule(), []
    alpha = schedule.alpha
    monkeypatch.setattr(schedule, "alpha", lambda t: looked_up.append(1) or alpha(t))
    return schedule, looked_up


LIKE = torch.zeros(3, 3, 4, 4)


def test_times_are_looked_up_once(counted: tuple[NoiseSchedule, list[int]]) -> None:
    schedule, looked_up = counted
    t = torch.tensor([1.0, 200.5, 512.0], dtype=torch.float64)
    first, second, _ = (schedule.levels(t, LIKE) for _ in range(3))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert len(looked_up) == 2  # for alpha and for sigma
    assert schedule.levels(t, LIKE.double())[0].dtype == torch.float64
    assert schedule.levels(t.clone(), LIKE)[0].dtype == torch.float32
    assert torch.equal(first[0].flatten(), NoiseSchedule().alpha(t).float())
    assert torch.equal(first[1].flatten(), NoiseSchedule().sigma(t).float())


def test_times_that_change_are_looked_up_again(counted: tuple[NoiseSchedule, list[int]]) -> None:
    schedule, _ = counted
    t = torch.tensor([1.0, 2.0, 3.0])
    before = schedule.levels(t, LIKE)[0].flatten().tolist()
    t += 100
    assert schedule.levels(t, LIKE)[0].flatten().tolist() != before


def test_levels_found_in_inference_mode_serve_a_loss() -> None:
    schedule, t = NoiseSchedule(), torch.tensor([1.0, 2.0, 3.0])
    with torch.inference_mode():
        schedule.levels(t, LIKE)
    x = torch.ones_like(LIKE, requires_grad=True)
    schedule.add_noise(x, LIKE, t).sum().backward()
    assert x.grad is not None


def test_forgotten_with_the_times() -> None:
    schedule = NoiseSchedule()
    for _ in range(100):
        schedule.levels(torch.rand(3), LIKE)
    gc.collect()
    assert len(schedule._memo._found) <= 1


def test_a_schedule_is_its_own_copy() -> None:
    schedule = NoiseSchedule()
    assert copy.deepcopy(schedule) is schedule
