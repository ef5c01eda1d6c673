"""Reflow of the teacher (Liu et al. 2022, 2023), a baseline for ReDDiT with the same teacher."""

from __future__ import annotations

import torch
from torch import Tensor

from reddit.config import ReflowConfig
from reddit.data import Batch
from reddit.diffusion import Prediction, sample_ddim
from reddit.methods.distillation import Distillation
from reddit.methods.method import StepRNG, context_of, replaced, to_minus_one_one
from reddit.utils.profiling import phase


class Reflow(Distillation[ReflowConfig]):
    """Rectified flow on pairs of noise and the teacher's sample from it; it straightens their paths.

    Liu et al. connect a pair by `z = (1 - tau) x_1 + tau eps`, tau uniform in (0, 1], and learn the velocity
    (their eq. 1; "reflow" if the pairs come from a flow, here the teacher's):

        loss = ‖(x_1 - eps) - velocity(z, tau)‖²

    Divided by `hypot(1 - tau, tau)`, z is the state x_t of this variance-preserving schedule with
    `sigma_t / alpha_t = tau / (1 - tau)`. So the network keeps its inputs x_t and alpha_t and its outputs x_0
    and eps, and the velocity is `x_0 - eps`. The student starts as a copy of its teacher, every prediction
    type works, and an Euler step along the straight path is a DDIM step. The loss equals that of x_0 with the
    weight `(1 + alpha_t / sigma_t)²`.

    Adapted: both networks see the low-light image (and its thumbnail). New pairs are drawn at each step with
    the teacher's own DDIM steps, so no pairs are stored, and a step costs that many calls of the teacher.
    Times are kept to [1, T]. If alpha_T > 0, states noisier than x_T are replaced by pure noise, as in
    sampling.
    """

    name = "reflow"
    halving = False
    sampler = "ddim"

    @classmethod
    def students(cls, teacher_steps: int) -> list[int]:
        return list(range(teacher_steps, 0, -1))  # a straight path allows any number of steps

    def losses(self, batch: Batch, rng: StepRNG) -> dict[str, Tensor]:
        y, context = to_minus_one_one(batch["low"]), context_of(batch, self.denoiser)
        eps = rng.noise(y)
        tau = 1 - rng.uniform()
        with torch.inference_mode(), phase("teacher"):
            grid = self.schedule.grid(self.teacher_steps)
            sample = sample_ddim(self.frozen_teacher(context), self.schedule, eps, y, grid)
        x_1 = sample.clone()
        alpha = (1 - tau) / torch.hypot(1 - tau, tau)
        t = self.schedule.time(alpha).clamp_min(1)
        beyond = alpha < self.schedule.alpha(t.new_tensor(self.schedule.steps))
        x_t = replaced(self.schedule.add_noise(x_1, eps, t), beyond, eps)
        target = Prediction(x_1, self.schedule.eps_from_x_0(x_t, x_1, t))
        found = self.denoiser.condition(context)(x_t, t, y)
        return {"loss": (velocity(found) - velocity(target)).square().mean()}


def velocity(prediction: Prediction) -> Tensor:
    """The velocity dz / d(-tau) of the straight path: `x_0 - eps`."""
    return prediction.x_0 - prediction.eps
