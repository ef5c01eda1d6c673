from __future__ import annotations

import math
from typing import get_args

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler, UniPCMultistepScheduler
from torch import Tensor, nn

from reddit.config import DiffusionConfig
from reddit.diffusion import (
    SAMPLERS,
    Denoiser,
    DenoiserFunction,
    NoiseSchedule,
    Prediction,
    clipped,
    noise_like,
    sample_ddim,
    sample_ddim_authors,
    sample_ddpm,
    sample_dpmpp,
    sample_unipc,
    step_of,
)

PAPER = NoiseSchedule()
PREDICTIONS = ["eps", "v", "x0"]
SOUND = [name for name in SAMPLERS if name != "ddim_authors"]
DIFFUSERS_NAMES = {"eps": "epsilon", "v": "v_prediction", "x0": "sample"}

predictions = pytest.mark.parametrize("prediction", PREDICTIONS)
step_counts = pytest.mark.parametrize("steps", [1, 2, 8, 16, 64])


class Arbitrary(nn.Module):
    """A network with nothing learned, whose answer depends on all that it is given."""

    def forward(self, x_t: Tensor, y: Tensor, alpha: Tensor, context: Tensor | None = None) -> Tensor:
        return torch.sin(1.3 * x_t) * 0.8 - 0.4 * y + 0.2 * alpha.view(-1, 1, 1, 1)


class Disguised(nn.Module):
    """One and the same opinion about x_0, spoken as eps, v or x0."""

    def __init__(self, prediction: str) -> None:
        super().__init__()
        self.prediction = prediction

    def forward(self, x_t: Tensor, y: Tensor, alpha: Tensor, context: Tensor | None = None) -> Tensor:
        alpha = alpha.view(-1, 1, 1, 1)
        sigma = (1 - alpha**2).sqrt()
        x_0 = torch.tanh(x_t + 0.5 * y + alpha)
        eps = (x_t - alpha * x_0) / sigma
        return {"eps": eps, "x0": x_0, "v": alpha * eps - sigma * x_0}[self.prediction]


def images(batch: int = 2, seed: int = 0) -> tuple[Tensor, Tensor]:
    """x_T and y."""
    generator = torch.Generator().manual_seed(seed)
    x_T = torch.randn(batch, 3, 6, 5, generator=generator, dtype=torch.float64)  # noqa: N806
    return x_T, 2 * torch.rand(x_T.shape, generator=generator, dtype=torch.float64) - 1


def same_in_diffusers(kind: type, prediction: str, steps: int, **options: object) -> object:
    """The paper's schedule as a scheduler of diffusers: our time k is its index k - 1."""
    alpha = PAPER.alpha(torch.arange(513))
    betas = 1 - (alpha[1:] / alpha[:-1]) ** 2
    scheduler = kind(
        num_train_timesteps=512,
        trained_betas=betas.numpy(),
        prediction_type=DIFFUSERS_NAMES[prediction],
        timestep_spacing="trailing",
        **options,
    )
    # It makes its tables in single precision.
    scheduler.betas = betas
    scheduler.alphas = 1 - betas
    scheduler.alphas_cumprod = alpha[1:] ** 2
    scheduler.set_timesteps(steps)
    if hasattr(scheduler, "sigmas"):
        sigmas = (1 - scheduler.alphas_cumprod).sqrt() / scheduler.alphas_cumprod.sqrt()
        scheduler.sigmas = torch.cat([sigmas[scheduler.timesteps], torch.zeros(1)])
    return scheduler


def sample_with_diffusers(scheduler: object, x: Tensor, y: Tensor) -> Tensor:
    network = Arbitrary()
    for index in scheduler.timesteps:  # type: ignore[attr-defined]
        alpha = PAPER.alpha(torch.full((len(x),), int(index) + 1))
        x = scheduler.step(network(x, y, alpha), index, x).prev_sample  # type: ignore[attr-defined]
    return x


@predictions
@step_counts
def test_ddim_agrees_with_diffusers(prediction: str, steps: int) -> None:
    x_T, y = images()  # noqa: N806
    scheduler = same_in_diffusers(DDIMScheduler, prediction, steps, clip_sample=False, set_alpha_to_one=True)
    expected = sample_with_diffusers(scheduler, x_T, y)
    ours = sample_ddim(Denoiser(Arbitrary(), PAPER, prediction), PAPER, x_T, y, PAPER.grid(steps))
    assert ours.dtype == torch.float64
    assert torch.allclose(ours, expected, rtol=1e-9, atol=1e-9)


@predictions
@step_counts
def test_ddpm_agrees_with_diffusers(prediction: str, steps: int) -> None:
    x_T, y = images()  # noqa: N806
    scheduler = same_in_diffusers(
        DDPMScheduler, prediction, steps, clip_sample=False, variance_type="fixed_small"
    )
    torch.manual_seed(7)
    expected = sample_with_diffusers(scheduler, x_T, y)
    torch.manual_seed(7)
    ours = sample_ddpm(Denoiser(Arbitrary(), PAPER, prediction), PAPER, x_T, y, PAPER.grid(steps))
    assert torch.allclose(ours, expected, rtol=1e-7, atol=1e-7)


@predictions
@step_counts
def test_dpmpp_agrees_with_diffusers(prediction: str, steps: int) -> None:
    x_T, y = images()  # noqa: N806
    scheduler = same_in_diffusers(
        DPMSolverMultistepScheduler, prediction, steps, solver_order=2, final_sigmas_type="zero"
    )
    expected = sample_with_diffusers(scheduler, x_T, y)  # it rounds each state to single precision
    ours = sample_dpmpp(Denoiser(Arbitrary(), PAPER, prediction), PAPER, x_T, y, PAPER.grid(steps))
    assert torch.allclose(ours, expected.double(), rtol=1e-5, atol=1e-5)


@predictions
@step_counts
def test_unipc_agrees_with_diffusers(prediction: str, steps: int) -> None:
    x_T, y = images()  # noqa: N806
    scheduler = same_in_diffusers(
        UniPCMultistepScheduler, prediction, steps, solver_order=2, final_sigmas_type="zero"
    )
    expected = sample_with_diffusers(scheduler, x_T, y)
    ours = sample_unipc(Denoiser(Arbitrary(), PAPER, prediction), PAPER, x_T, y, PAPER.grid(steps))
    assert torch.allclose(ours, expected, rtol=1e-9, atol=1e-9)


def test_ddpm_draws_from_the_posterior() -> None:
    # The posterior q(x_s | x_t, x_0) of the two Gaussians x_s | x_0 and x_t | x_s, by Bayes.
    t, s, x_0, x_t = 384.0, 256.0, 0.3, -0.8
    a_t, a_s = PAPER.alpha(torch.tensor([t, s])).tolist()
    step = a_t / a_s
    prior, added = 1 - a_s**2, (1 - a_t**2) - step**2 * (1 - a_s**2)
    variance = 1 / (1 / prior + step**2 / added)
    mean = variance * (a_s * x_0 / prior + step * x_t / added)

    def knows(x: Tensor, _t: Tensor, y: Tensor) -> Prediction:
        return Prediction(torch.full_like(x, x_0), torch.zeros_like(x))

    start = torch.full((4, 3, 256, 256), x_t, dtype=torch.float64)
    generators = [torch.Generator().manual_seed(i) for i in range(4)]
    drawn = sample_ddpm(knows, PAPER, start, start, torch.tensor([t, s]), generators)
    error = (variance / drawn.numel()) ** 0.5
    assert drawn.mean().item() == pytest.approx(mean, abs=5 * error)
    assert drawn.var().item() == pytest.approx(variance, rel=5 * (2 / drawn.numel()) ** 0.5)


def test_the_configuration_knows_every_sampler() -> None:
    assert list(get_args(DiffusionConfig.model_fields["sampler"].annotation)) == list(SAMPLERS)


@pytest.mark.parametrize("name", SOUND)
@pytest.mark.parametrize("steps", [1, 3, 8])
def test_a_perfect_denoiser_gives_the_clean_image(name: str, steps: int) -> None:
    x_T, x_0 = images()  # noqa: N806

    def knows(x: Tensor, t: Tensor, y: Tensor) -> Prediction:
        return Prediction(y, PAPER.eps_from_x_0(x, y, t))

    ours = SAMPLERS[name](knows, PAPER, x_T, x_0, PAPER.grid(steps))
    assert torch.allclose(ours, x_0, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", SAMPLERS)
def test_samplers_do_not_see_the_prediction_type(name: str) -> None:
    x_T, y = images()  # noqa: N806

    def sample(prediction: str) -> Tensor:
        generators = [torch.Generator().manual_seed(i) for i in range(2)]
        denoiser = Denoiser(Disguised(prediction), PAPER, prediction)
        return SAMPLERS[name](denoiser, PAPER, x_T, y, PAPER.grid(8), generators)

    first, *others = (sample(p) for p in PREDICTIONS)
    for other in others:
        assert torch.allclose(first, other, rtol=0, atol=1e-10)


def test_zero_terminal_snr_starts_from_the_networks_own_image() -> None:
    schedule = NoiseSchedule(zero_terminal_snr=True)
    x_T, y = images()  # noqa: N806
    ours = sample_ddim(Denoiser(Disguised("v"), schedule, "v"), schedule, x_T, y, schedule.grid(1))
    assert torch.allclose(ours, torch.tanh(x_T + 0.5 * y), rtol=0, atol=1e-12)
    with pytest.raises(ValueError, match="zero terminal SNR"):
        Denoiser(Disguised("eps"), schedule, "eps")


@pytest.mark.parametrize("name", ["dpmpp", "unipc"])
def test_zero_terminal_snr_is_the_limit_of_a_first_step_that_grows(name: str) -> None:
    # lambda_T = log(alpha_T) grows by the same factor that alpha_T's exponent does, and the slope of the
    # past falls by it.
    x_T, y = images()  # noqa: N806

    def sample(alpha: float) -> Tensor:
        schedule = NoiseSchedule(zero_terminal_snr=True)
        schedule._alphas[-1] = alpha
        return SAMPLERS[name](Denoiser(Arbitrary(), schedule, "v"), schedule, x_T, y, schedule.grid(4))

    far, further, furthest = ((sample(10.0**-e) - sample(0.0)).norm().item() for e in (75, 150, 300))
    assert 0 < furthest < 0.01
    assert far / further == pytest.approx(2, rel=0.05)
    assert further / furthest == pytest.approx(2, rel=0.05)


def test_dpmpp_takes_its_first_two_steps_from_zero_terminal_snr_as_ddim() -> None:
    schedule = NoiseSchedule(zero_terminal_snr=True)
    x_T, y = images()  # noqa: N806
    denoiser, times = Denoiser(Arbitrary(), schedule, "v"), schedule.grid(4)
    for count, same in ((2, True), (3, True), (4, False)):
        ours = sample_dpmpp(denoiser, schedule, x_T, y, times[:count])
        ddim = sample_ddim(denoiser, schedule, x_T, y, times[:count])
        assert torch.allclose(ours, ddim, rtol=0, atol=1e-12) == same


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_pictures_sample_does_not_depend_on_its_batch(name: str) -> None:
    y = images(5)[1]
    denoiser = Denoiser(Arbitrary(), PAPER, "v")

    def sample(pictures: list[int]) -> Tensor:
        generators = [torch.Generator().manual_seed(40 + p) for p in pictures]
        x_T = noise_like(y[pictures], generators)  # noqa: N806
        return SAMPLERS[name](denoiser, PAPER, x_T, y[pictures], PAPER.grid(4), generators)

    together, turned = sample([0, 1, 2, 3, 4]), sample([3, 1])
    assert torch.equal(turned[0], together[3])
    assert torch.equal(turned[1], together[1])
    assert not torch.equal(together[0], together[1])


def test_noise_of_each_generator() -> None:
    like = torch.zeros(2, 3, 64, 64)
    noise = noise_like(like, [torch.Generator().manual_seed(s) for s in (1, 2)])
    again = noise_like(like[:1], [torch.Generator().manual_seed(2)])
    assert torch.equal(noise[1], again[0])
    assert not torch.equal(noise[0], noise[1])
    assert noise.mean().item() == pytest.approx(0, abs=0.03)
    assert noise.std().item() == pytest.approx(1, abs=0.03)


def test_clipping_holds_the_clean_image_and_keeps_the_pair_consistent() -> None:
    x_t, y = images()
    t = torch.tensor([512.0, 30.0])

    def wild(x: Tensor, t: Tensor, y: Tensor) -> Prediction:
        return Prediction(3 * y, PAPER.eps_from_x_0(x, 3 * y, t))

    held = clipped(wild, PAPER)(x_t, t, y)
    assert torch.equal(held.x_0, (3 * y).clamp(-1, 1))
    assert held.x_0.abs().max().item() == 1.0
    assert torch.allclose(PAPER.add_noise(held.x_0, held.eps, t), x_t, rtol=0, atol=1e-12)


def test_clipping_leaves_values_inside_alone() -> None:
    x_t, y = images()
    t = torch.tensor([512.0, 30.0])
    denoiser: DenoiserFunction = Denoiser(Disguised("v"), PAPER, "v")
    assert torch.allclose(clipped(denoiser, PAPER)(x_t, t, y).eps, denoiser(x_t, t, y).eps, atol=1e-10)


@pytest.mark.parametrize("name", SOUND)
def test_clipped_samples_stay_in_range(name: str) -> None:
    x_T, y = images()  # noqa: N806
    denoiser = Denoiser(Arbitrary(), PAPER, "eps")
    free = SAMPLERS[name](denoiser, PAPER, x_T, y, PAPER.grid(4))
    held = SAMPLERS[name](clipped(denoiser, PAPER), PAPER, x_T, y, PAPER.grid(4))
    assert free.abs().max() > 1
    assert held.abs().max() <= 1


# Fault D3


@pytest.mark.parametrize("schedule", [PAPER, NoiseSchedule(zero_terminal_snr=True)])
def test_the_authors_sampler_keeps_noise_and_passes_wrong_levels(schedule: NoiseSchedule) -> None:
    x_T, y = images()  # noqa: N806
    told = []

    def knows(x: Tensor, t: Tensor, y: Tensor) -> Prediction:
        told.append(t[0].item())
        return Prediction(0.5 * y, schedule.eps_from_x_0(x, 0.5 * y, t))

    ours = sample_ddim_authors(knows, schedule, x_T, y, schedule.grid(4))
    assert told == [511, 383, 255, 127]
    # By angles: a state is x_0 cos + eps sin of its level; the wrong level turns it a little further.
    x = x_T
    angle = {t: math.acos(schedule.alpha(torch.tensor(float(t))).item()) for t in range(513)}
    angle[0] = math.acos(schedule.first_alpha)
    for t, s in ((512, 384), (384, 256), (256, 128), (128, 0)):
        eps = (x - 0.5 * y * math.cos(angle[t - 1])) / math.sin(angle[t - 1])
        v = eps * math.cos(angle[t - 1]) - 0.5 * y * math.sin(angle[t - 1])
        x = x * math.cos(angle[t] - angle[s]) - v * math.sin(angle[t] - angle[s])
    assert torch.allclose(ours, x, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", SAMPLERS)
def test_how_far_a_prediction_goes(name: str) -> None:
    """To the next time where that is where the prediction is used, to clean, or nowhere (a mean)."""
    expected = {"ddim": 128.0, "ddim_authors": 128.0, "consistency": 512.0}.get(name, 0.0)
    assert step_of(name, NoiseSchedule(), 4) == expected


def test_the_first_betas_level() -> None:
    assert PAPER.first_alpha == pytest.approx(math.sqrt(1 - 1e-4), abs=1e-15)
    assert NoiseSchedule("cosine").first_alpha == 1.0


def test_the_noise_that_the_authors_sampler_leaves() -> None:
    def black(x: Tensor, t: Tensor, y: Tensor) -> Prediction:
        return Prediction(torch.zeros_like(x), PAPER.eps_from_x_0(x, torch.zeros_like(x), t))

    x_T, y = images()  # noqa: N806
    assert sample_ddim(black, PAPER, x_T, y, PAPER.grid(2)).abs().max() == 0
    left = (sample_ddim_authors(black, PAPER, x_T, y, PAPER.grid(2)) / x_T).mean().item()
    right, told = PAPER.alpha(torch.tensor([256.0, 255.0])).acos().tolist()
    assert left == pytest.approx(0.01 - (right - told), rel=0.01)  # the wrong index takes a third of it away
