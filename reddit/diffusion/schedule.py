"""The noise schedule: alpha and sigma of any time, and all conversions between eps, x_0 and v.

Times are real numbers in [0, T]. Time 0 is exactly clean (alpha 1, sigma 0), T is the noisiest.
`x_t = alpha_t x_0 + sigma_t eps` with `alpha² + sigma² = 1` (variance preserving).
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from reddit.diffusion.levels import LevelMemo

PredictionType = Literal["eps", "v", "x0"]
ScheduleKind = Literal["linear", "cosine"]


class Prediction(NamedTuple):
    """A consistent pair: `x_t = alpha_t x_0 + sigma_t eps`. Both (B, 3, H, W)."""

    x_0: Tensor
    eps: Tensor


class NoiseSchedule:
    """Immutable variance-preserving schedule.

    Args:
        kind: `linear` betas (Ho et al. 2020, the paper's) or `cosine` (Nichol & Dhariwal 2021).
        steps: T, the noisiest time.
        beta_start, beta_end: first and last beta of `linear`.
        zero_terminal_snr: shift and scale alpha so that alpha_T = 0 exactly (Lin et al. 2023, alg. 1).

    The linear schedule takes T + 1 betas, as the authors' code does. At time t ≥ 1, alpha² is the product of
    the first t + 1 values of `1 - beta`. Unlike that code, time 0 is set to clean.
    Between integer times alpha is interpolated linearly.

    Raises:
        ValueError: an unknown kind; betas that leave the signal as it is, or nothing of it before T.
    """

    def __init__(
        self,
        kind: ScheduleKind = "linear",
        steps: int = 512,
        beta_start: float = 1e-4,
        beta_end: float = 2e-2,
        zero_terminal_snr: bool = False,
    ) -> None:
        if kind == "linear":
            alphas = np.sqrt(np.cumprod(1.0 - np.linspace(beta_start, beta_end, steps + 1)))
        elif kind == "cosine":
            phase = (np.arange(steps + 1) / steps + 0.008) / 1.008 * (math.pi / 2)
            squares = np.cos(phase) ** 2 / np.cos(phase[0]) ** 2
            # The usual cap of each beta at 0.999 keeps alpha_T above zero.
            betas = np.minimum(1.0 - squares[1:] / squares[:-1], 0.999)
            alphas = np.sqrt(np.concatenate([[1.0], np.cumprod(1.0 - betas)]))
        else:
            raise ValueError(f"unknown schedule {kind!r}; known: linear, cosine")
        first, alphas[0] = float(alphas[0]), 1.0
        if not np.all(np.diff(alphas) < 0):
            raise ValueError(
                "alpha must fall from each time to the next: betas too small, too large or too many"
            )
        if zero_terminal_snr:
            first = (first - alphas[-1]) / (1.0 - alphas[-1])
            alphas = (alphas - alphas[-1]) / (alphas[0] - alphas[-1])
        self.first_alpha = float(first)
        """alpha at time 0 before it is set to clean; for `linear` that of the first beta."""
        self.steps = steps
        self.kind = kind
        self.zero_terminal_snr = zero_terminal_snr
        self._alphas = torch.from_numpy(alphas)
        self._alphas_on: dict[torch.device, Tensor] = {}
        self._memo = LevelMemo()

    def __deepcopy__(self, memo: dict[int, object]) -> NoiseSchedule:
        return self  # it never changes

    def _table(self, device: torch.device) -> Tensor:
        if device not in self._alphas_on:
            self._alphas_on[device] = self._alphas.to(device)
        return self._alphas_on[device]

    def alpha(self, t: Tensor) -> Tensor:
        """alpha_t in [0, 1], float64, in the shape of `t`; times in [0, T]."""
        table = self._table(t.device)
        time = t.double().clamp(0, self.steps)
        low = time.floor().clamp(max=self.steps - 1).long()
        return torch.lerp(table[low], table[low + 1], time - low)

    def time(self, alpha: Tensor) -> Tensor:
        """The inverse of `alpha`: the time of each level, float64; levels out of range give 0 or T."""
        rising = self._table(alpha.device).flip(0)
        above = torch.searchsorted(rising, alpha.double().contiguous()).clamp(1, self.steps)
        share = (alpha.double() - rising[above - 1]) / (rising[above] - rising[above - 1])
        return self.steps - (above - 1 + share.clamp(0, 1))

    def sigma(self, t: Tensor) -> Tensor:
        """sigma_t = sqrt(1 - alpha_t²) in [0, 1], float64."""
        alpha = self.alpha(t)
        return ((1 - alpha) * (1 + alpha)).clamp_min(0).sqrt()

    def snr(self, t: Tensor) -> Tensor:
        """alpha_t² / sigma_t², float64; infinite at time 0."""
        return (self.alpha(t) / self.sigma(t)) ** 2

    def half_log_snr(self, t: Tensor) -> Tensor:
        """lambda_t = log(alpha_t / sigma_t), float64; inf at time 0, -inf where alpha is 0."""
        return self.alpha(t).log() - self.sigma(t).log()

    def levels(self, t: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """alpha_t and sigma_t of times (B,), in the dtype of `like` (B, …) and shaped to broadcast to it.

        Times on the processor are best, also for images on a GPU: the look-up then launches nothing there.
        """
        shape = (-1,) + (1,) * (like.ndim - 1)
        if torch.compiler.is_compiling():  # a traced graph leaves nothing behind
            alpha, sigma = self._alpha_sigma(t).to(like.dtype)
        else:
            alpha, sigma = self._memo.get(t, like, self._alpha_sigma)
        return alpha.view(shape), sigma.view(shape)

    def _alpha_sigma(self, t: Tensor) -> Tensor:
        return torch.stack([self.alpha(t), self.sigma(t)])

    def add_noise(self, x_0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """`x_t = alpha_t x_0 + sigma_t eps`."""
        alpha, sigma = self.levels(t, x_0)
        return alpha * x_0 + sigma * eps

    def grid(self, steps: int) -> Tensor:
        """The times `t_k = k T / N`, k = N … 0, of an N-step sampler: (N + 1,), float64."""
        return torch.arange(steps, -1, -1, dtype=torch.float64) * (self.steps / steps)

    # Conversions between eps, x_0 and v: images (B, 3, H, W) and times (B,).

    def x_0_from_eps(self, x_t: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """`x_0 = (x_t - sigma eps) / alpha`; undefined where alpha is 0."""
        alpha, sigma = self.levels(t, x_t)
        return (x_t - sigma * eps) / alpha

    def eps_from_x_0(self, x_t: Tensor, x_0: Tensor, t: Tensor) -> Tensor:
        """`eps = (x_t - alpha x_0) / sigma`; undefined at time 0, where there is no noise."""
        alpha, sigma = self.levels(t, x_t)
        return (x_t - alpha * x_0) / sigma

    def v_from(self, x_0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """`v = alpha eps - sigma x_0` (Salimans & Ho 2022)."""
        alpha, sigma = self.levels(t, x_0)
        return alpha * eps - sigma * x_0

    def x_0_from_v(self, x_t: Tensor, v: Tensor, t: Tensor) -> Tensor:
        """`x_0 = alpha x_t - sigma v`."""
        alpha, sigma = self.levels(t, x_t)
        return alpha * x_t - sigma * v

    def eps_from_v(self, x_t: Tensor, v: Tensor, t: Tensor) -> Tensor:
        """`eps = sigma x_t + alpha v`."""
        alpha, sigma = self.levels(t, x_t)
        return sigma * x_t + alpha * v

    def target(self, prediction: PredictionType, x_0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """The training target of a network of this prediction type."""
        if prediction == "eps":
            return eps
        return x_0 if prediction == "x0" else self.v_from(x_0, eps, t)

    def interpret(self, prediction: PredictionType, output: Tensor, x_t: Tensor, t: Tensor) -> Prediction:
        """Convert a network's output to the pair (x_0, eps)."""
        if prediction == "eps":
            return Prediction(self.x_0_from_eps(x_t, output, t), output)
        if prediction == "v":
            return Prediction(self.x_0_from_v(x_t, output, t), self.eps_from_v(x_t, output, t))
        return Prediction(output, self.eps_from_x_0(x_t, output, t))
