"""The noise schedule: alpha and sigma of any time, and every conversion between predictions.

Times are real numbers in [0, T]; 0 is exactly clean (alpha 1, sigma 0), T the noisiest.
`x_t = alpha_t x_0 + sigma_t eps` with `alpha² + sigma² = 1` (variance preserving).
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

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
        steps: T, the number of the noisiest time.
        beta_start, beta_end: first and last beta of `linear`.
        zero_terminal_snr: shift and scale alpha so that alpha_T = 0 exactly (Lin et al. 2023, alg. 1).

    The linear schedule takes T + 1 betas, as the authors' code does; time t ≥ 1 has the product of the
    first t + 1 of `1 - beta`, and time 0 is set to clean, which that code does not do.
    Between whole times alpha is interpolated linearly.
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
            # The usual cap of each beta at 0.999 keeps the last time's signal above zero.
            betas = np.minimum(1.0 - squares[1:] / squares[:-1], 0.999)
            alphas = np.sqrt(np.concatenate([[1.0], np.cumprod(1.0 - betas)]))
        else:
            raise ValueError(f"unknown schedule {kind!r}; known: linear, cosine")
        first, alphas[0] = float(alphas[0]), 1.0
        if zero_terminal_snr:
            first = (first - alphas[-1]) / (1.0 - alphas[-1])
            alphas = (alphas - alphas[-1]) / (alphas[0] - alphas[-1])
        self.first_alpha = float(first)
        """The alpha that time 0 would have were it not set to clean: of the first beta, if linear."""
        self.steps = steps
        self.kind = kind
        self.zero_terminal_snr = zero_terminal_snr
        self._alphas = torch.from_numpy(alphas)
        self._alphas_on: dict[torch.device, Tensor] = {}

    def _table(self, device: torch.device) -> Tensor:
        if device not in self._alphas_on:
            self._alphas_on[device] = self._alphas.to(device)
        return self._alphas_on[device]

    def alpha(self, t: Tensor) -> Tensor:
        """alpha_t in [0, 1], float64, of the shape of `t` (times in [0, T])."""
        table = self._table(t.device)
        time = t.double().clamp(0, self.steps)
        low = time.floor().clamp(max=self.steps - 1).long()
        return torch.lerp(table[low], table[low + 1], time - low)

    def time(self, alpha: Tensor) -> Tensor:
        """The time of each alpha, the inverse of `alpha`, float64; levels beyond an end have its time."""
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
        """lambda_t = log(alpha_t / sigma_t), float64; infinite at time 0, -inf where alpha is 0."""
        return self.alpha(t).log() - self.sigma(t).log()

    def levels(self, t: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """alpha_t and sigma_t of times (B,), in the dtype of `like` (B, …) and ready to multiply it."""
        shape = (-1,) + (1,) * (like.ndim - 1)
        return (
            self.alpha(t).to(like.dtype).view(shape),
            self.sigma(t).to(like.dtype).view(shape),
        )

    def add_noise(self, x_0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """`x_t = alpha_t x_0 + sigma_t eps`."""
        alpha, sigma = self.levels(t, x_0)
        return alpha * x_0 + sigma * eps

    def grid(self, steps: int) -> Tensor:
        """The times `t_k = k T / N`, k = N … 0, that an N-step sampler visits: (N + 1,), float64."""
        return torch.arange(steps, -1, -1, dtype=torch.float64) * (self.steps / steps)

    # Conversions. Each takes x_t, one of (eps, x_0, v) and the times, and returns another.

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
        """What a network of this prediction type should answer."""
        if prediction == "eps":
            return eps
        return x_0 if prediction == "x0" else self.v_from(x_0, eps, t)

    def interpret(self, prediction: PredictionType, output: Tensor, x_t: Tensor, t: Tensor) -> Prediction:
        """Read a network's answer as the pair (x_0, eps)."""
        if prediction == "eps":
            return Prediction(self.x_0_from_eps(x_t, output, t), output)
        if prediction == "v":
            return Prediction(self.x_0_from_v(x_t, output, t), self.eps_from_v(x_t, output, t))
        return Prediction(output, self.eps_from_x_0(x_t, output, t))
