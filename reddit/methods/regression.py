"""Plain regression to the ground truth in one step, the rival of every one-step student."""

from __future__ import annotations

import torch
from torch import Tensor

from reddit.config import RegressionConfig
from reddit.data import Batch
from reddit.methods.distillation import Distillation
from reddit.methods.method import StepRNG, context_of, to_minus_one_one
from reddit.utils.profiling import phase


class Regression(Distillation[RegressionConfig]):
    """One step from pure noise to the ground truth; the teacher gives no more than the first weights.

        loss = ‖x̂(x_T, T) - x_0‖² + w_per LPIPS(x̂(x_T, T), x_0)

    with x_T pure noise, as in sampling. x_T is independent of x_0, so that the least squared error is that of
    the posterior mean E[x_0 | y]. With `w_per` these are ReDDiT's losses with the ground truth (eq. 10 and
    11) at T alone, where lambda is 1.
    """

    name = "regression"
    halving = False
    sampler = "ddim"

    @classmethod
    def students(cls, teacher_steps: int) -> list[int]:
        return [1] if teacher_steps > 1 else []

    @classmethod
    def needs_perceptual(cls, config: RegressionConfig) -> bool:
        return config.w_per > 0

    def losses(self, batch: Batch, rng: StepRNG) -> dict[str, Tensor]:
        x_0, y = to_minus_one_one(batch["high"]), to_minus_one_one(batch["low"])
        student = self.denoiser.condition(context_of(batch, self.denoiser))
        t = torch.full((len(y),), float(self.schedule.steps), dtype=torch.float64)
        found = student(rng.noise(x_0), t, y).x_0
        l_pix = (found - x_0).square().mean()
        l_per = torch.zeros_like(l_pix)
        if self.perceptual is not None and self.config.w_per > 0:
            with phase("perceptual"):
                l_per = self.perceptual((found + 1) / 2, batch["high"]).mean()
        return {"loss": l_pix + self.config.w_per * l_per, "l_pix": l_pix, "l_per": l_per}
