"""The exponential moving average (EMA) of the weights."""

from __future__ import annotations

import copy

import torch

from reddit.diffusion import Denoiser


class WeightAverage:
    """Exponential moving average of the weights, with a warm-up.

    The decay at update i is `min(decay, (1 + i) / (10 + i))`. Without the warm-up, a decay of 0.9999 still
    holds 61 % of the initial weights after 5000 updates.
    """

    def __init__(self, denoiser: Denoiser, decay: float, warmup: bool = True) -> None:
        self.average = copy.deepcopy(denoiser).eval().requires_grad_(False)
        self.decay = decay
        self.warmup = warmup

    @torch.no_grad()
    def update(self, denoiser: Denoiser, iteration: int) -> None:
        """Update the average with the weights after iteration `iteration` (from 0)."""
        decay = min(self.decay, (1 + iteration) / (10 + iteration)) if self.warmup else self.decay
        average = list(self.average.network.state_dict().values())
        weights = list(denoiser.network.state_dict().values())
        torch._foreach_lerp_(average, weights, 1 - decay)
