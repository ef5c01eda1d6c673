"""Consistency distillation (Song et al. 2023), a baseline for ReDDiT with the same teacher."""

from __future__ import annotations

import torch
from torch import Tensor

from reddit.config import ConsistencyConfig
from reddit.data import Batch
from reddit.diffusion import DenoiserFunction, decode
from reddit.methods.averaged_target import AveragedTarget, distance
from reddit.methods.method import StepRNG, context_of, replaced, to_minus_one_one
from reddit.utils.profiling import phase


class ConsistencyDistillation(AveragedTarget[ConsistencyConfig]):
    """Their algorithm 2: all states of a trajectory should predict the same clean image.

    The consistency function `f(x_t, t) = c_skip x_t + c_out F(x_t, t)`, with F the network, maps any state to
    the clean end of its trajectory, and `f(x, 0) = x`. On this schedule it is the denoiser's x_0 itself:

        prediction   c_skip    c_out             at time 0
        v            alpha     -sigma            1, 0
        eps          1/alpha   -sigma/alpha      1, 0
        x0           0         1                 f = x by definition, without the network

    So a student starts as a copy of its teacher and is sampled without a wrapper, by
    `reddit.diffusion.sample_consistency` (their algorithm 1). For neighbours t > s on the teacher's grid,
    drawn uniformly (their eq. 7 with lambda = 1):

        x_s  from x_t by one DDIM step of the teacher
        loss = d(f(x_t, t), f⁻(x_s, s))

    with d the squared error, or LPIPS (`distance`), and f⁻ the student with an exponential moving average of
    its weights (`target_ema`, their mu; 0: the student itself), without gradients.

    Adapted: both networks see the low-light image (and its thumbnail). The ODE solver is the teacher's DDIM,
    clipped as when it samples. Time 0 is exactly clean and needs no epsilon. The times of the N-step
    student lie on the teacher's grid, so N divides the teacher's steps.
    """

    name = "consistency"
    halving = False
    sampler = "consistency"

    @classmethod
    def needs_perceptual(cls, config: ConsistencyConfig) -> bool:
        return config.distance == "lpips"

    def losses(self, batch: Batch, rng: StepRNG) -> dict[str, Tensor]:
        self.update_target(rng.iteration)
        x_0, y, context = (
            to_minus_one_one(batch["high"]),
            to_minus_one_one(batch["low"]),
            context_of(batch, self.denoiser),
        )
        eps = rng.noise(x_0)
        k = 1 + (rng.uniform() * self.teacher_steps).long()
        t, s = ((k - j) * (self.schedule.steps / self.teacher_steps) for j in range(2))
        x_t = self.schedule.add_noise(x_0, eps, t)
        with torch.inference_mode(), phase("teacher"):
            x_s = decode(self.frozen_teacher(context), self.schedule, x_t, y, t, s).x_s
            target = consistency_function(self.target.condition(context), x_s, s, y)
        found = consistency_function(self.denoiser.condition(context), x_t, t, y)
        return {"loss": distance(self.config.distance, self.perceptual, found, target.clone())}


def consistency_function(denoiser: DenoiserFunction, x_t: Tensor, t: Tensor, y: Tensor) -> Tensor:
    """f(x_t, t): the denoiser's x_0, and at time 0 `x_t` itself (for eps and v these are equal)."""
    return replaced(denoiser(x_t, t, y).x_0, t <= 0, x_t)
