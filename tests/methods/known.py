"""Networks whose every answer is known, and pictures to show them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from reddit.data import Batch
from reddit.diffusion import Denoiser, NoiseSchedule, Prediction, SecondInput
from reddit.image.geometry import thumbnail
from reddit.models import ConditionalUNet

MEAN, DEVIATION = 0.3, 0.5
PAPER, ZERO_SNR = NoiseSchedule(), NoiseSchedule(zero_terminal_snr=True)


class Known(Denoiser):
    """Answers x_0 by a formula of (x_t, t, y), plus `offset`; remembers what it was shown.

    With a second input, by `of_step`, a formula of (x_t, t, s), s being the end of the step.
    """

    def __init__(
        self,
        schedule: NoiseSchedule,
        x_0: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None,
        of_step: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None,
    ) -> None:
        # The network is never asked.
        super().__init__(nn.Linear(1, 1), schedule, "x0", second_input="end" if of_step else "none")
        self.x_0, self.of_step = x_0, of_step
        self.offset = nn.Parameter(torch.zeros((), dtype=torch.float64))
        self.seen: list[tuple[Tensor, Tensor]] = []
        self.ends: list[Tensor] = []

    def forward(
        self,
        x_t: Tensor,
        t: Tensor,
        y: Tensor,
        context: Tensor | None = None,
        step: Tensor | float = 0.0,
    ) -> Prediction:
        self.seen.append((x_t, t))
        self.ends.append(t - step)
        formula, last = (self.of_step, t - step) if self.of_step else (self.x_0, y)
        assert formula is not None
        x_0 = formula(x_t, t, last) + self.offset
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


def teacher_path(schedule: NoiseSchedule, teacher_steps: int, t: Tensor, s: Tensor) -> Tensor:
    """What the exact teacher's DDIM steps on its grid, t → s, make of `x_t - alpha_t MEAN`: (B, 1, 1, 1)."""
    grid = schedule.grid(teacher_steps).flip(0)
    from_clean = [torch.ones(1, 1, 1, 1, dtype=torch.float64)]  # of the steps from each point to clean
    for i in range(1, teacher_steps + 1):
        from_clean.append(from_clean[-1] * shrink(schedule, grid[i : i + 1], grid[i - 1 : i]))
    ways = torch.cat(from_clean)
    start, end = ((time * teacher_steps / schedule.steps).round().long() for time in (t, s))
    return ways[start] / ways[end]


def to_reach(schedule: NoiseSchedule, by: Tensor, t: Tensor, s: Tensor) -> Tensor:
    """The share of `x_t - alpha_t MEAN` in the x_0 whose DDIM step t → s multiplies it by `by` (s < t)."""
    (alpha_t, sigma_t), (alpha_s, sigma_s) = levels(schedule, t), levels(schedule, s)
    return (by - sigma_s / sigma_t) / (alpha_s - sigma_s / sigma_t * alpha_t)


def of_steps(schedule: NoiseSchedule, by: Callable[[Tensor, Tensor], Tensor]) -> Known:
    """Answers `MEAN + by(t, s) (x_t - alpha_t MEAN)`."""

    def x_0(x_t: Tensor, t: Tensor, s: Tensor) -> Tensor:
        return MEAN + by(t, s) * (x_t - levels(schedule, t)[0] * MEAN)

    return Known(schedule, of_step=x_0)


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


def tiny_denoiser(
    seed: int = 0,
    prediction: str = "v",
    schedule: NoiseSchedule = ZERO_SNR,
    second_input: SecondInput = "none",
) -> Denoiser:
    torch.manual_seed(seed)
    network = ConditionalUNet(
        width=8,
        multipliers=[1, 2],
        blocks=1,
        attention_levels=[1],
        groups=4,
        second_input=second_input != "none",
    )
    return Denoiser(network, schedule, prediction, second_input=second_input)  # type: ignore[arg-type]


def distance(output: Tensor, gt: Tensor) -> Tensor:
    return (output - gt).abs().flatten(1).mean(dim=1)
