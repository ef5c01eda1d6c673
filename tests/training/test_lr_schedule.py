"""The learning rate and the weights' average, against closed forms and another implementation."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor, nn

from reddit.config import TrainConfig
from reddit.diffusion import Denoiser, NoiseSchedule
from reddit.training.ema import WeightAverage
from reddit.training.lr_schedule import learning_rate


def rates(**settings: object) -> list[float]:
    chosen = TrainConfig(**settings)  # type: ignore[arg-type]
    return [learning_rate(chosen, i) for i in range(chosen.iterations + 1)]


def test_linear_decay() -> None:
    found = rates(iterations=100, lr=0.8, decay_from=0.2, lr_end=0.1)
    assert found[:21] == [0.8] * 21
    for i in range(20, 101):
        assert found[i] == pytest.approx(0.1 + 0.7 * (100 - i) / 80, rel=1e-12)


def test_cosine_decay() -> None:
    found = rates(iterations=100, lr=0.8, decay="cosine", decay_from=0.2, lr_end=0.1)
    assert found[:21] == [0.8] * 21
    for i in range(20, 101):
        assert found[i] == pytest.approx(0.1 + 0.7 * (1 + math.cos(math.pi * (i - 20) / 80)) / 2, rel=1e-12)
    assert found[60] == pytest.approx(0.45)  # half-way in time, half-way down
    assert found[40] == pytest.approx(0.1 + 0.7 * (2 + math.sqrt(2)) / 4)
    assert found[100] == pytest.approx(0.1)


@pytest.mark.parametrize("decay", ["linear", "cosine"])
def test_decays_agree_with_those_of_pytorch(decay: str) -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.8)
    theirs: torch.optim.lr_scheduler.LRScheduler = (
        torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 50, eta_min=0.2)
        if decay == "cosine"
        else torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.25, 50)
    )
    expected = []
    for _ in range(51):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        theirs.step()
    found = rates(iterations=50, lr=0.8, decay=decay, decay_from=0.0, lr_end=0.2)
    assert found == pytest.approx(expected, rel=1e-9)


def test_warm_up() -> None:
    """The first step moves already, the last of the warm-up is the first at the whole rate."""
    found = rates(iterations=10, lr=0.6, warmup=4)
    assert found == pytest.approx([0.15, 0.3, 0.45] + [0.6] * 8)


def test_warm_up_within_the_decay() -> None:
    found = rates(iterations=10, lr=1.0, warmup=5, decay_from=0.0)
    assert found[2] == pytest.approx(0.6 * 0.8)
    assert found[8] == pytest.approx(0.2)


@pytest.mark.parametrize("decay", ["linear", "cosine"])
def test_without_a_decay_the_rate_is_constant(decay: str) -> None:
    assert set(rates(iterations=30, lr=0.5, decay=decay)) == {0.5}


@pytest.mark.parametrize("decay", ["linear", "cosine"])
def test_rates_never_rise_after_the_warm_up(decay: str) -> None:
    found = rates(iterations=200, lr=1.0, warmup=20, decay=decay, decay_from=0.37, lr_end=1e-3)
    after = found[19:]
    assert all(a >= b for a, b in itertools.pairwise(after))
    assert max(found) == 1.0 and found[-1] == pytest.approx(1e-3)


class Weight(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, x_t: Tensor, y: Tensor, alpha: Tensor, context: Tensor | None = None) -> Tensor:
        return x_t * self.value


def weight_of_the_first(decay: float, updates: list[int]) -> list[float]:
    """How much of the average is still the first weights after so many updates: by following a 1 fade."""
    denoiser = Denoiser(Weight(), NoiseSchedule(), "v")
    average = WeightAverage(denoiser, decay)
    with torch.no_grad():
        denoiser.network.value.zero_()
    found = [1.0]
    for i in range(max(updates)):
        average.update(denoiser, i)
        found.append(average.average.network.value.item())
    return [found[n] for n in updates]


def test_average_of_a_short_run() -> None:
    """Below the cap the decays multiply to n! 9! / (n + 9)! = 1 / C(n + 9, 9)."""
    updates = [1, 2, 5, 20, 100]
    expected = [1 / math.comb(n + 9, 9) for n in updates]
    assert weight_of_the_first(0.9999, updates) == pytest.approx(expected, rel=1e-9)
    assert expected[0] == pytest.approx(0.1)  # the first update counts for nine tenths


def test_average_of_a_long_run() -> None:
    """From the update where (1 + i) / (10 + i) passes the decay, the decay itself: 890 for 0.99."""
    cap = 890
    assert (1 + cap) / (10 + cap) == 0.99
    updates = [cap, cap + 1, cap + 400]
    expected = [0.99 ** (n - cap) / math.comb(cap + 9, 9) for n in updates]
    assert weight_of_the_first(0.99, updates) == pytest.approx(expected, rel=1e-9)


def test_a_long_average_has_the_memory_that_its_decay_says() -> None:
    """Long after the warm-up, the newest n weights hold 1 - decay^n of the average."""
    denoiser = Denoiser(Weight(), NoiseSchedule(), "v")
    average = WeightAverage(denoiser, 0.99)
    for i in range(10**6, 10**6 + 69):
        with torch.no_grad():
            denoiser.network.value.zero_()
        average.update(denoiser, i)
    assert average.average.network.value.item() == pytest.approx(0.99**69)  # about a half


def test_no_average_is_the_newest_weights() -> None:
    assert weight_of_the_first(0.0, [1, 2]) == [0.0, 0.0]
