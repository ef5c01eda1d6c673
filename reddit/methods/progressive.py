"""Progressive distillation (Salimans & Ho 2022), a baseline for ReDDiT with the same teacher."""

from __future__ import annotations

import torch
from torch import Tensor

from reddit.config import ProgressiveConfig
from reddit.data import Batch
from reddit.diffusion import decode_second_order, x0_target
from reddit.methods.distillation import Distillation
from reddit.methods.losses import lambda_weight, weighted_mse
from reddit.methods.method import StepRNG, context_of, to_minus_one_one
from reddit.utils.profiling import phase


class ProgressiveDistillation(Distillation[ProgressiveConfig]):
    """Their algorithm 2: one student step should reach the state that two DDIM steps of the teacher reach.

    t = kT/N with k uniform in 1 … N; u is half a step closer to clean, s a whole step:

        x_s   from x_t by the teacher's DDIM steps t → u → s
        x̃    = (x_s - (sigma_s / sigma_t) x_t) / (alpha_s - (sigma_s / sigma_t) alpha_t)
        loss  = lambda_t ‖x̃ - x̂_student(x_t)‖², lambda_t = max(SNR_t, 1) or as `lambda_rule` says

    Adapted: both networks see the low-light image (and its thumbnail), and the teacher is clipped as when it
    samples. This is ReDDiT without refinement, auxiliary losses and jitter. The ground truth is used only to
    make x_t.
    """

    name = "progressive"

    def losses(self, batch: Batch, rng: StepRNG) -> dict[str, Tensor]:
        x_0, y, context = (
            to_minus_one_one(batch["high"]),
            to_minus_one_one(batch["low"]),
            context_of(batch, self.denoiser),
        )
        eps = rng.noise(x_0)
        k = 1 + (rng.uniform() * self.steps).long()
        spacing = self.schedule.steps / (2 * self.steps)
        t, u, s = ((2 * k - j) * spacing for j in range(3))
        x_t = self.schedule.add_noise(x_0, eps, t)
        with torch.inference_mode(), phase("teacher"):
            x_s = decode_second_order(self.frozen_teacher(context), self.schedule, x_t, y, t, u, s).x_s
            target = x0_target(self.schedule, x_t, x_s, t, s).x_0
        x_0_student = self.denoiser.condition(context)(x_t, t, y).x_0
        weight = lambda_weight(self.schedule, t, self.config.lambda_rule)
        return {"loss": weighted_mse(x_0_student, target.clone(), weight)}
