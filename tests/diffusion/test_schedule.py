from __future__ import annotations

import math

import pytest
import torch

from reddit.diffusion import NoiseSchedule

PAPER = NoiseSchedule()
SCHEDULES = {
    "linear": PAPER,
    "linear, zero terminal SNR": NoiseSchedule(zero_terminal_snr=True),
    "cosine": NoiseSchedule("cosine"),
    "cosine, zero terminal SNR": NoiseSchedule("cosine", zero_terminal_snr=True),
    "linear, 100 steps": NoiseSchedule(steps=100),
}


@pytest.fixture(params=SCHEDULES.values(), ids=SCHEDULES.keys())
def schedule(request: pytest.FixtureRequest) -> NoiseSchedule:
    found: NoiseSchedule = request.param
    return found


def times(schedule: NoiseSchedule) -> torch.Tensor:
    """Every whole time and every quarter between."""
    return torch.arange(0, 4 * schedule.steps + 1, dtype=torch.float64) / 4


def images(batch: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x_0 = 2 * torch.rand(batch, 3, 4, 5, generator=generator, dtype=torch.float64) - 1
    return x_0, torch.randn(x_0.shape, generator=generator, dtype=torch.float64)


def test_variance_preserving(schedule: NoiseSchedule) -> None:
    t = times(schedule)
    assert torch.allclose(schedule.alpha(t) ** 2 + schedule.sigma(t) ** 2, torch.ones_like(t), atol=1e-14)


def test_time_zero_is_clean(schedule: NoiseSchedule) -> None:
    x_0, eps = images(2)
    zero = torch.zeros(2)
    assert schedule.alpha(zero).tolist() == [1.0, 1.0]
    assert schedule.sigma(zero).tolist() == [0.0, 0.0]
    assert torch.equal(schedule.add_noise(x_0, eps, zero), x_0)
    assert schedule.snr(zero).tolist() == [math.inf, math.inf]


def test_half_the_logarithm_of_the_snr(schedule: NoiseSchedule) -> None:
    t = times(schedule)
    level = schedule.half_log_snr(t)
    assert level[0] == math.inf
    assert (level[-1] == -math.inf) == schedule.zero_terminal_snr
    assert torch.allclose((2 * level[1:]).exp(), schedule.snr(t)[1:], rtol=1e-12)


def test_time_is_the_inverse_of_alpha(schedule: NoiseSchedule) -> None:
    t = times(schedule).view(1, -1)
    assert torch.allclose(schedule.time(schedule.alpha(t)), t, rtol=0, atol=1e-8)
    beyond = torch.tensor([1.5, 1.0, -0.5])
    assert schedule.time(beyond).tolist() == [0, 0, schedule.steps]


def test_noise_only_grows(schedule: NoiseSchedule) -> None:
    assert (schedule.alpha(times(schedule)).diff() < 0).all()


def test_the_papers_levels() -> None:
    end = torch.tensor([512.0])
    assert PAPER.alpha(end).item() == pytest.approx(0.0746, abs=5e-5)  # published as 0.075
    assert (PAPER.sigma(end) / PAPER.alpha(end)).item() == pytest.approx(13.36, abs=0.005)


def test_linear_by_hand() -> None:
    betas = [1e-4 + (2e-2 - 1e-4) * i / 512 for i in range(513)]
    for t in (1, 2, 37, 256, 511, 512):
        product = math.prod(1 - beta for beta in betas[: t + 1])
        assert PAPER.alpha(torch.tensor(t)).item() == pytest.approx(math.sqrt(product), abs=1e-13)


def test_cosine_closed_form() -> None:
    # The cap of a beta at 0.999 is only active in the last of the 512 times, where the cosine is 0.
    t = torch.arange(0, 512, dtype=torch.float64)
    start = math.cos(0.008 / 1.008 * math.pi / 2)
    expected = torch.cos((t / 512 + 0.008) / 1.008 * math.pi / 2) / start
    assert torch.allclose(NoiseSchedule("cosine").alpha(t), expected, rtol=0, atol=1e-12)
    last = NoiseSchedule("cosine").alpha(torch.tensor(512.0)).item()
    assert last == pytest.approx(expected[-1].item() * math.sqrt(0.001), rel=1e-9)


@pytest.mark.parametrize("kind", ["linear", "cosine"])
def test_zero_terminal_snr(kind: str) -> None:
    plain, shifted = NoiseSchedule(kind), NoiseSchedule(kind, zero_terminal_snr=True)
    end = torch.tensor(512.0)
    assert shifted.alpha(end).item() == 0.0
    assert shifted.sigma(end).item() == 1.0
    assert shifted.snr(end).item() == 0.0
    assert shifted.alpha(torch.tensor(0.0)).item() == 1.0
    t, last = times(plain), plain.alpha(end)
    assert torch.allclose(shifted.alpha(t), (plain.alpha(t) - last) / (1 - last), rtol=0, atol=1e-14)


def test_interpolation() -> None:
    low, high = PAPER.alpha(torch.tensor(10.0)).item(), PAPER.alpha(torch.tensor(11.0)).item()
    assert PAPER.alpha(torch.tensor(10.25)).item() == pytest.approx(0.75 * low + 0.25 * high, abs=1e-15)


def test_times_outside_are_held_at_the_ends() -> None:
    assert PAPER.alpha(torch.tensor([-1.0, 600.0])).tolist() == PAPER.alpha(torch.tensor([0, 512])).tolist()


def test_grid() -> None:
    assert PAPER.grid(4).tolist() == [512, 384, 256, 128, 0]
    assert PAPER.grid(1).tolist() == [512, 0]
    assert NoiseSchedule(steps=100).grid(8).tolist() == [100, 87.5, 75, 62.5, 50, 37.5, 25, 12.5, 0]


def test_levels_are_ready_to_multiply() -> None:
    like = torch.zeros(2, 3, 4, 5)
    alpha, sigma = PAPER.levels(torch.tensor([3.5, 512.0]), like)
    assert alpha.shape == sigma.shape == (2, 1, 1, 1)
    assert alpha.dtype == sigma.dtype == torch.float32
    assert alpha[1].item() == pytest.approx(PAPER.alpha(torch.tensor(512.0)).item(), rel=1e-6)


@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_round_trips(name: str) -> None:
    schedule = SCHEDULES[name]
    # Up to 480: where alpha is almost 0, dividing by it enlarges the rounding of x_t.
    t = torch.cat([torch.linspace(1, 480, 24, dtype=torch.float64), torch.tensor([0.5, 100.3])])
    x_0, eps = images(len(t))
    x_t = schedule.add_noise(x_0, eps, t)
    v = schedule.v_from(x_0, eps, t)

    def close(a: torch.Tensor, b: torch.Tensor) -> bool:
        return torch.allclose(a, b, rtol=0, atol=1e-12)

    assert close(schedule.x_0_from_v(x_t, v, t), x_0)
    assert close(schedule.eps_from_v(x_t, v, t), eps)
    assert close(schedule.eps_from_x_0(x_t, x_0, t), eps)
    assert close(schedule.x_0_from_eps(x_t, eps, t), x_0)


@pytest.mark.parametrize("prediction", ["eps", "v", "x0"])
def test_target_and_interpret_are_inverse(prediction: str) -> None:
    t = torch.tensor([1.0, 20.5, 300.0, 512.0], dtype=torch.float64)
    x_0, eps = images(4)
    target = PAPER.target(prediction, x_0, eps, t)
    found = PAPER.interpret(prediction, target, PAPER.add_noise(x_0, eps, t), t)
    assert torch.allclose(found.x_0, x_0, rtol=0, atol=1e-12)
    assert torch.allclose(found.eps, eps, rtol=0, atol=1e-12)


def test_targets_differ() -> None:
    x_0, eps = images(1)
    t = torch.tensor([200.0])
    assert torch.equal(PAPER.target("eps", x_0, eps, t), eps)
    assert torch.equal(PAPER.target("x0", x_0, eps, t), x_0)
    alpha, sigma = PAPER.alpha(t).item(), PAPER.sigma(t).item()
    assert torch.allclose(PAPER.target("v", x_0, eps, t), alpha * eps - sigma * x_0, rtol=0, atol=1e-15)


def test_v_at_zero_terminal_snr_gives_the_clean_image() -> None:
    schedule = SCHEDULES["linear, zero terminal SNR"]
    x_0, eps = images(2)
    end = torch.full((2,), 512.0)
    assert torch.equal(schedule.add_noise(x_0, eps, end), eps)
    found = schedule.interpret("v", schedule.v_from(x_0, eps, end), eps, end)
    assert torch.equal(found.x_0, x_0)
    assert torch.equal(found.eps, eps)


def test_unknown_kind() -> None:
    with pytest.raises(ValueError, match=r"quadratic.*linear, cosine"):
        NoiseSchedule("quadratic")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "settings",
    [
        {"beta_start": 1e-17, "beta_end": 1e-17},  # 1 - beta is 1
        {"beta_start": 1e-17, "beta_end": 1e-17, "zero_terminal_snr": True},
        {"steps": 100_000},  # the product is 0 before the end
        {"beta_start": 0.99, "beta_end": 0.99},
    ],
)
def test_betas_that_make_no_schedule(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="alpha must fall from each time to the next"):
        NoiseSchedule(**settings)  # type: ignore[arg-type]
