"""Teacher training: predict the noise (or v, or the clean image) at every level."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from reddit.data import Batch
from reddit.diffusion import Denoiser
from reddit.methods.method import StepRNG, to_minus_one_one


class Teacher:
    """`‖network(x_t, y, alpha_t) - target‖` with t uniform in (0, T] (Ho et al. 2020; SR3).

    Args:
        denoiser: the network to train.
        steps: its sampling steps.
        loss: `l2`, or `l1` as SR3.
        p_terminal: share of the samples at T itself, from pure noise, where sampling starts.
    """

    name = "teacher"

    def __init__(
        self, denoiser: Denoiser, steps: int, loss: Literal["l1", "l2"] = "l2", p_terminal: float = 0.0
    ) -> None:
        self.denoiser = denoiser
        self.steps = steps
        self.distance = F.l1_loss if loss == "l1" else F.mse_loss
        self.p_terminal = p_terminal

    def losses(self, batch: Batch, rng: StepRNG) -> dict[str, Tensor]:
        schedule = self.denoiser.schedule
        x_0, y = to_minus_one_one(batch["high"]), to_minus_one_one(batch["low"])
        eps = rng.noise(x_0)
        t = (1 - rng.uniform()) * schedule.steps
        terminal = rng.uniform() < self.p_terminal
        t = torch.where(terminal, torch.full_like(t, schedule.steps), t)
        x_t = schedule.add_noise(x_0, eps, t)
        x_t = torch.where(terminal.view(-1, 1, 1, 1), eps, x_t)
        output = self.denoiser.output(x_t, t, y, to_minus_one_one(batch["context"]))
        target = schedule.target(self.denoiser.prediction, x_0, eps, t)
        return {"loss": self.distance(output, target)}
