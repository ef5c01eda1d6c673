"""Networks whose every answer is known, and pictures to show them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from reddit.data import Batch
from reddit.diffusion import Denoiser, NoiseSchedule, Prediction
from reddit.image.geometry import thumbnail
from reddit.models import ConditionalUNet

MEAN, DEVIATION = 0.3, 0.5
PAPER, ZERO_SNR = NoiseSchedule(), NoiseSchedule(zero_terminal_snr=True)


class Known(Denoiser):
    """Answers x_0 by a formula of (x_t, t, y), plus `offset`; remembers what it was shown."""

    def __init__(self, schedule: NoiseSchedule, x_0: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
        super().__init__(nn.Linear(1, 1), schedule, "x0")  # never asked
        self.x_0 = x_0
        self.offset = nn.Parameter(torch.zeros((), dtype=torch.float64))
        self.seen: list[tuple[Tensor, Tensor]] = []

    def forward(self, x_t: Tensor, t: Tensor, y: Tensor, context: Tensor | None = None) -> Prediction:
        self.seen.append((x_t, t))
        x_0 = self.x_0(x_t, t, y) + self.offset
        return Prediction(x_0, self.schedule.eps_from_x_0(x_t, x_0, t))


def slope(schedule: NoiseSchedule, t: Tensor) -> Tensor:
    """How far the mean of N(MEAN, DEVIATION²) given x_t follows `x_t - alpha MEAN`: (B, 1, 1, 1)."""
    alpha, sigma = levels(schedule, t)
    return alpha * DEVIATION**2 / (alpha**2 * DEVIATION**2 + sigma**2)


def shrink(schedule: NoiseSchedule, t: Tensor, s: Tensor) -> Tensor:
    """What one DDIM step of the exact teacher, t → s, makes of `x_t - alpha_t MEAN`: (B, 1, 1, 1)."""
    (alpha_t, sigma_t), (alpha_s, sigma_s) = levels(schedule, t), levels(schedule, s)
    return alpha_s * slope(schedule, t) + sigma_s * (1 - alpha_t * slope(schedule, t)) / sigma_t


def linear(schedule: NoiseSchedule, by: Callable[[Tensor], Tensor]) -> Known:
    """Answers `MEAN + by(t) (x_t - alpha MEAN)`."""

    def x_0(x_t: Tensor, t: Tensor, y: Tensor) -> Tensor:
        return MEAN + by(t) * (x_t - levels(schedule, t)[0] * MEAN)

    return Known(schedule, x_0)


def exact_teacher(schedule: NoiseSchedule) -> Known:
    """The exact denoiser of pixels from N(MEAN, DEVIATION²)."""
    return linear(schedule, lambda t: slope(schedule, t))


def levels(schedule: NoiseSchedule, t: Tensor) -> tuple[Tensor, Tensor]:
    alpha = schedule.alpha(t).view(-1, 1, 1, 1)
    return alpha, (1 - alpha**2).sqrt()


def pictures(size: int = 8, seed: int = 0, dtype: torch.dtype = torch.float64) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    low, high, denoised = torch.rand(3, size, 3, 8, 8, generator=generator, dtype=dtype)
    low = 0.3 * low
    return {"low": low, "high": high, "denoised": denoised, "context": thumbnail(low).to(dtype)}


def part(batch: Batch, first: int, last: int) -> Batch:
    return {name: image[first:last] for name, image in batch.items()}  # type: ignore[attr-defined,return-value]


def tiny_denoiser(seed: int = 0, prediction: str = "v", schedule: NoiseSchedule = ZERO_SNR) -> Denoiser:
    torch.manual_seed(seed)
    network = ConditionalUNet(width=8, multipliers=[1, 2], blocks=1, attention_levels=[1], groups=4)
    return Denoiser(network, schedule, prediction)  # type: ignore[arg-type]


def distance(output: Tensor, gt: Tensor) -> Tensor:
    return (output - gt).abs().flatten(1).mean(dim=1)
