"""The denoiser: a network and its prediction type, seen as one function (x_t, t, y) → (x_0, eps)."""

from __future__ import annotations

from functools import partial
from typing import Literal, Protocol

from torch import Tensor, nn

from reddit.diffusion.schedule import NoiseSchedule, Prediction, PredictionType
from reddit.utils.device import to_device_of
from reddit.utils.half_weights import HalfWeights, is_compiled

SecondInput = Literal["none", "end", "step"]


class DenoiserFunction(Protocol):
    """The function that samplers and the trajectory decoder call; any with this signature works."""

    def __call__(self, x_t: Tensor, t: Tensor, y: Tensor) -> Prediction:
        """(x_0, eps) from `x_t` and `y`, both (B, 3, H, W) in [-1, 1], at times `t` (B,)."""
        ...


class Denoiser(nn.Module):
    """Wraps a network and hides whether it predicts eps, v or x0.

    Args:
        network: `(x_t, y, alpha, context) → output`, images (B, 3, H, W), alpha (B,), context or None; with
            a second input, `(x_t, y, alpha, context, second)`, (B,) in [0, 1].
        schedule: the noise schedule it is trained on.
        prediction: the meaning of its output.
        mask_x_T: replace `x_t` by zeros where it is pure noise (`without_pure_noise`).
        second_input: of a step from t to s, `end`: alpha_s; `step`: (t - s) / T.

    Raises:
        ValueError: eps-prediction with zero terminal SNR, which leaves x_0 undefined at T.
    """

    def __init__(
        self,
        network: nn.Module,
        schedule: NoiseSchedule,
        prediction: PredictionType,
        mask_x_T: bool = False,  # noqa: N803
        second_input: SecondInput = "none",
    ) -> None:
        super().__init__()
        if prediction == "eps" and schedule.zero_terminal_snr:
            raise ValueError("eps-prediction cannot start from zero terminal SNR; predict v or x0")
        self.network = network
        self.schedule = schedule
        self.prediction: PredictionType = prediction
        self.mask_x_T = mask_x_T
        self.second_input: SecondInput = second_input
        self._half_weights = HalfWeights[Tensor]()

    @property
    def takes_context(self) -> bool:
        """Whether the network looks at thumbnails."""
        return bool(getattr(self.network, "takes_context", True))

    def output(
        self,
        x_t: Tensor,
        t: Tensor,
        y: Tensor,
        context: Tensor | None = None,
        step: Tensor | float = 0.0,
    ) -> Tensor:
        """The network's raw output (B, 3, H, W), in the dtype of `x_t`."""
        alpha = self.schedule.levels(t, x_t)[0].flatten()
        seen = without_pure_noise(x_t, alpha) if self.mask_x_T else x_t
        output = self._half_weights.call(self.network, seen, y, alpha, context, *self.second(x_t, t, step))
        if output.dtype == x_t.dtype and is_compiled(self.network):
            return output.clone()  # CUDA graphs overwrite it at the next call
        return output.to(x_t.dtype)

    def second(self, like: Tensor, t: Tensor, step: Tensor | float) -> tuple[Tensor, ...]:
        """The second scalar (B,) of steps from t to t - `step`, on the device of `like`; () without one."""
        if self.second_input == "none":
            return ()
        s = (t - step).clamp_min(0)
        if self.second_input == "end":
            return (self.schedule.levels(s, like)[0].flatten(),)
        return (to_device_of(like, (t - s) / self.schedule.steps),)

    def forward(
        self,
        x_t: Tensor,
        t: Tensor,
        y: Tensor,
        context: Tensor | None = None,
        step: Tensor | float = 0.0,
    ) -> Prediction:
        return self.schedule.interpret(self.prediction, self.output(x_t, t, y, context, step), x_t, t)

    def condition(self, context: Tensor | None, step: Tensor | float = 0.0) -> DenoiserFunction:
        """This denoiser with `context` fixed: the thumbnails (B, 3, 64, 64) in [-1, 1] of whole pictures.

        `y` may then be crops or tiles of those pictures. `step` is how far the steps from t go, as a time,
        for all or (B,), for networks with a second input; 0: x_0 is the mean E[x_0 | x_t, y].
        """
        if self.second_input == "none":
            return partial(self, context=context)
        return partial(self, context=context, step=step)


def without_pure_noise(x_t: Tensor, alpha: Tensor) -> Tensor:
    """`x_t` (B, 3, H, W) with zeros in place of the images whose `alpha` (B,) is 0.

    With zero terminal SNR, x_T carries no information on x_0: the best prediction, E[x_0 | x_T, y] =
    E[x_0 | y], is the same for every x_T. A network that sees x_T must learn to ignore it, and a small
    network does so only in part.
    """
    return x_t * (alpha > 0).to(x_t.dtype).view(-1, 1, 1, 1)


def clipped(denoiser: DenoiserFunction, schedule: NoiseSchedule) -> DenoiserFunction:
    """The denoiser with x_0 clipped to [-1, 1], the range of images, and eps recomputed to match."""

    def denoise(x_t: Tensor, t: Tensor, y: Tensor) -> Prediction:
        x_0 = denoiser(x_t, t, y).x_0.clamp(-1, 1)
        return Prediction(x_0, schedule.eps_from_x_0(x_t, x_0, t))

    return denoise
