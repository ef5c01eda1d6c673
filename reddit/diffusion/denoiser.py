"""The denoiser: a network and its prediction type, seen as one function (x_t, t, y) → (x_0, eps)."""

from __future__ import annotations

from functools import partial
from typing import Protocol

from torch import Tensor, nn

from reddit.diffusion.schedule import NoiseSchedule, Prediction, PredictionType


class DenoiserFunction(Protocol):
    """What samplers and the trajectory decoder call; any function of this shape will do."""

    def __call__(self, x_t: Tensor, t: Tensor, y: Tensor) -> Prediction:
        """From `x_t` and `y` (B, 3, H, W) in [-1, 1] at times `t` (B,), the pair (x_0, eps)."""
        ...


class Denoiser(nn.Module):
    """Hides whether the network answers eps, v or x0.

    Args:
        network: `(x_t, y, alpha, context) → output`, images (B, 3, H, W), alpha (B,), context or None.
        schedule: the schedule it was (or will be) trained on.
        prediction: what its output means.
        mask_x_T: hide `x_t` from the network where it is noise and nothing else (`without_pure_noise`).

    Raises:
        ValueError: eps-prediction with zero terminal SNR, which leaves x_0 undefined at T.
    """

    def __init__(
        self,
        network: nn.Module,
        schedule: NoiseSchedule,
        prediction: PredictionType,
        mask_x_T: bool = False,  # noqa: N803
    ) -> None:
        super().__init__()
        if prediction == "eps" and schedule.zero_terminal_snr:
            raise ValueError("eps-prediction cannot start from zero terminal SNR; predict v or x0")
        self.network = network
        self.schedule = schedule
        self.prediction: PredictionType = prediction
        self.mask_x_T = mask_x_T

    def output(self, x_t: Tensor, t: Tensor, y: Tensor, context: Tensor | None = None) -> Tensor:
        """The network's own answer, in the dtype of `x_t`."""
        alpha = self.schedule.alpha(t).to(x_t.dtype)
        seen = without_pure_noise(x_t, alpha) if self.mask_x_T else x_t
        return self.network(seen, y, alpha, context).to(x_t.dtype)

    def forward(self, x_t: Tensor, t: Tensor, y: Tensor, context: Tensor | None = None) -> Prediction:
        return self.schedule.interpret(self.prediction, self.output(x_t, t, y, context), x_t, t)

    def condition(self, context: Tensor | None) -> DenoiserFunction:
        """The same for parts `y` of pictures whose thumbnails are `context` (B, 3, 64, 64) in [-1, 1]."""
        return partial(self, context=context)


def without_pure_noise(x_t: Tensor, alpha: Tensor) -> Tensor:
    """`x_t` (B, 3, H, W), and zeros for the images whose `alpha` (B,) is 0.

    With zero terminal SNR x_T says nothing of x_0: the best prediction, E[x_0 | x_T, y] = E[x_0 | y], is the
    same for every x_T. A network that sees x_T has to learn to ignore it, and a small one does so in part.
    """
    return x_t * (alpha > 0).to(x_t.dtype).view(-1, 1, 1, 1)


def clipped(denoiser: DenoiserFunction, schedule: NoiseSchedule) -> DenoiserFunction:
    """The same denoiser with x_0 held in [-1, 1], where every image lies, and eps made to agree."""

    def denoise(x_t: Tensor, t: Tensor, y: Tensor) -> Prediction:
        x_0 = denoiser(x_t, t, y).x_0.clamp(-1, 1)
        return Prediction(x_0, schedule.eps_from_x_0(x_t, x_0, t))

    return denoise
