"""Data whose diffusion is known in closed form: independent pixels from N(mean, deviation²).

Tests compare samplers and methods with it.
Images are (B, 3, H, W); `mean` and `deviation` are numbers or tensors that broadcast to an image.
"""

from __future__ import annotations

from torch import Tensor

from reddit.diffusion.denoiser import DenoiserFunction
from reddit.diffusion.schedule import NoiseSchedule, Prediction

Number = float | Tensor


def gaussian_denoiser(schedule: NoiseSchedule, mean: Number, deviation: Number) -> DenoiserFunction:
    """The exact denoiser: `x_0 = E[x_0 | x_t]` and `eps = E[eps | x_t]`; `y` is ignored.

    `x_t` is N(alpha mean, V) with `V = alpha² deviation² + sigma²`.
    """

    def denoise(x_t: Tensor, t: Tensor, y: Tensor) -> Prediction:
        alpha, sigma = schedule.levels(t, x_t)
        surprise = (x_t - alpha * mean) / (alpha**2 * deviation**2 + sigma**2)
        return Prediction(mean + alpha * deviation**2 * surprise, sigma * surprise)

    return denoise


def gaussian_flow(
    schedule: NoiseSchedule, x_t: Tensor, t: Tensor, s: Tensor, mean: Number, deviation: Number
) -> Tensor:
    """Solve the probability-flow ODE of these data from times t to s, both (B,), in either direction.

    Each pixel keeps its number of standard deviations: `(x_s - alpha_s mean) / sqrt(V_s)` equals that at t.
    """
    alpha_t, sigma_t = schedule.levels(t, x_t)
    alpha_s, sigma_s = schedule.levels(s, x_t)
    variance_t = alpha_t**2 * deviation**2 + sigma_t**2
    variance_s = alpha_s**2 * deviation**2 + sigma_s**2
    return alpha_s * mean + (variance_s / variance_t) ** 0.5 * (x_t - alpha_t * mean)
