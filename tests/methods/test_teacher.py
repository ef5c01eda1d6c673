from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from reddit.config import TrainConfig
from reddit.data import Batch
from reddit.diffusion import Denoiser, NoiseSchedule
from reddit.image.geometry import thumbnail
from reddit.methods import StepRNG, Teacher
from reddit.metrics import ssim
from reddit.models import ConditionalUNet
from reddit.training.state import TrainingState
from reddit.training.step import train_step

PREDICTIONS = pytest.mark.parametrize("prediction", ["eps", "v", "x0"])


class Constant(nn.Module):
    """Answers one number everywhere and remembers what it was shown."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value, dtype=torch.float64))

    def forward(self, x_t: Tensor, y: Tensor, alpha: Tensor, context: Tensor | None = None) -> Tensor:
        self.seen = x_t, y, alpha
        self.context = context
        return self.value.expand_as(x_t)


def batch(size: int = 4, seed: int = 0, dtype: torch.dtype = torch.float32) -> Batch:
    low, high = torch.rand(2, size, 3, 16, 16, generator=torch.Generator().manual_seed(seed), dtype=dtype)
    return {"low": 0.2 * low, "high": high, "denoised": 0.2 * low, "context": thumbnail(0.2 * low)}


def step_rng(seed: int, size: int = 4) -> StepRNG:
    return StepRNG(seed, 0, range(size))


@PREDICTIONS
@pytest.mark.parametrize("loss", ["l1", "l2"])
def test_loss_by_hand(prediction: str, loss: str) -> None:
    schedule = NoiseSchedule()
    network = Constant(0.3)
    pictures = batch(dtype=torch.float64)
    method = Teacher(Denoiser(network, schedule, prediction), 16, loss)
    found = method.losses(pictures, step_rng(5))["loss"].item()

    x_t, y, alpha = (v.numpy() for v in network.seen)
    alpha = alpha.reshape(-1, 1, 1, 1)
    sigma = (1 - alpha**2) ** 0.5
    x_0 = 2 * pictures["high"].numpy() - 1
    eps = (x_t - alpha * x_0) / sigma
    error = 0.3 - {"eps": eps, "x0": x_0, "v": alpha * eps - sigma * x_0}[prediction]
    assert found == pytest.approx((abs(error) if loss == "l1" else error**2).mean(), rel=1e-9)
    assert (y == 2 * pictures["low"].numpy() - 1).all()
    assert abs(eps.mean()) < 0.1
    assert abs(eps.std() - 1) < 0.1


def levels_seen(schedule: NoiseSchedule, p_terminal: float) -> tuple[Tensor, Tensor, Tensor]:
    network = Constant(0.0)
    high = torch.zeros(2000, 3, 1, 1)
    method = Teacher(Denoiser(network, schedule, "v"), 16, p_terminal=p_terminal)
    method.losses({"low": high, "high": high, "denoised": high, "context": high}, step_rng(0, 2000))
    return network.seen[2], network.seen[0], schedule.alpha(torch.tensor(512.0)).float()


def test_times_are_uniform() -> None:
    schedule = NoiseSchedule()
    alpha, _, last = levels_seen(schedule, 0.0)
    for quarter in (128, 256, 384):
        above = (alpha > schedule.alpha(torch.tensor(float(quarter)))).double().mean().item()
        assert above == pytest.approx(quarter / 512, abs=0.05)
    assert (alpha >= last).all()
    assert (alpha < 1).all()


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_p_terminal(share: float) -> None:
    alpha, x_t, last = levels_seen(NoiseSchedule(), share)
    terminal = alpha == last
    assert terminal.double().mean().item() == pytest.approx(share, abs=0.04)
    if share == 1.0:  # pure noise, without the trace of black (-1) that add_noise would leave
        assert x_t.mean().item() == pytest.approx(0, abs=0.04)


@PREDICTIONS
def test_a_step_moves_every_parameter(prediction: str) -> None:
    torch.manual_seed(0)
    network = ConditionalUNet(width=8, multipliers=[1, 2], blocks=1, attention_levels=[1], groups=4)
    method = Teacher(Denoiser(network, NoiseSchedule(), prediction), 16)
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    settings = TrainConfig(lr=1e-3)
    state = TrainingState(method.denoiser, settings, "fp32")
    losses = train_step(method, [batch()], state, seed=0, batch_indices=range(4))
    assert losses["loss"].isfinite()
    assert not losses["loss"].requires_grad
    still = [name for name, p in network.named_parameters() if torch.equal(p, before[name])]
    assert still == []


def test_the_loss_depends_on_the_draws_alone() -> None:
    method = Teacher(Denoiser(Constant(0.1), NoiseSchedule(), "eps"), 16)

    def loss(seed: int) -> float:
        torch.rand(1)  # the global generator moves on and must not matter
        return method.losses(batch(), step_rng(seed))["loss"].item()

    assert loss(3) == loss(3)
    assert loss(3) != loss(4)


def test_the_network_sees_the_context() -> None:
    network = Constant(0.1)
    pictures = batch()
    Teacher(Denoiser(network, NoiseSchedule(), "v"), 16).losses(pictures, step_rng(0))
    assert torch.equal(network.context, 2 * pictures["context"] - 1)


def test_image_losses_concern_samples_at_t_alone() -> None:
    pictures = batch(dtype=torch.float64)
    schedule = NoiseSchedule(zero_terminal_snr=True)
    answers = []
    for share in (0.0, 0.5):
        network = Constant(0.3)
        denoiser = Denoiser(network, schedule, "x0")
        method = Teacher(denoiser, 16, "l1", p_terminal=share, w_per=0.5, w_ssim=2.0, perceptual=distance)
        answers.append((method.losses(pictures, step_rng(2)), network.seen[2]))
    (found, _), (some, alpha) = answers
    assert found["l_per"] == found["l_ssim"] == 0
    index = [i for i, level in enumerate(alpha.tolist()) if level == 0]
    assert 0 < len(index) < 4
    gt = pictures["high"][index]
    output = torch.full_like(gt, 0.65)
    assert some["l_per"].item() == pytest.approx(distance(output, gt).sum().item() / 4)
    assert some["l_ssim"].item() == pytest.approx((1 - ssim(output, gt)).sum().item() / 4, abs=1e-5)
    l1 = (0.3 - (2 * pictures["high"] - 1)).abs().mean().item()
    total = l1 + 0.5 * some["l_per"].item() + 2 * some["l_ssim"].item()
    assert some["loss"].item() == pytest.approx(total, rel=1e-6)


def distance(output: Tensor, gt: Tensor) -> Tensor:
    return (output - gt).abs().flatten(1).mean(dim=1)
