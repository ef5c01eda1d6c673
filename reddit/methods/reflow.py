"""Reflow of the teacher (Liu et al. 2022, 2023), a rival of ReDDiT on the same teacher."""

from __future__ import annotations

import torch
from torch import Tensor

from reddit.config import ReflowConfig
from reddit.data import Batch
from reddit.diffusion import Prediction, sample_ddim
from reddit.methods.distillation import Distillation
from reddit.methods.method import StepRNG, to_minus_one_one
from reddit.utils.profiling import phase


class Reflow(Distillation[ReflowConfig]):
    """Rectified flow on pairs (noise, the teacher's sample from it), whose paths it makes straight.

    Liu et al. join a pair by `z = (1 - tau) x_1 + tau eps`, tau uniform in (0, 1], and learn the velocity
    (their eq. 1; "reflow" once the pairs come from a flow, which here is the teacher's):

        loss = ‖(x_1 - eps) - velocity(z, tau)‖²

    Divided by `hypot(1 - tau, tau)`, z is the state x_t of this variance-preserving schedule with
    `sigma_t / alpha_t = tau / (1 - tau)`. So the network is given x_t and alpha_t as ever, its x_0 and eps
    are read as ever, and its velocity is `x_0 - eps`: the student starts as a copy of its teacher, every
    prediction type will do, and an Euler step along the straight path is a DDIM step. The loss is that of
    x_0 with the weight `(1 + alpha_t / sigma_t)²`.

    Adapted: both networks see the low-light image (and its thumbnail). Pairs are drawn anew at each step
    with the teacher's own steps of DDIM: no set of pairs is stored, and a step costs as many calls of the
    teacher. The path keeps to the schedule's whole times: it ends at time 1, and where alpha_T > 0, beyond
    T it is what sampling starts with, pure noise under the name of x_T.
    """

    name = "reflow"
    halving = False
    sampler = "ddim"

    @classmethod
    def students(cls, teacher_steps: int) -> list[int]:
        return list(range(teacher_steps, 0, -1))  # a straight path may be cut anywhere

    def losses(self, batch: Batch, rng: StepRNG) -> dict[str, Tensor]:
        y, context = to_minus_one_one(batch["low"]), to_minus_one_one(batch["context"])
        eps = rng.noise(y)
        tau = 1 - rng.uniform()
        with torch.inference_mode(), phase("teacher"):
            grid = self.schedule.grid(self.teacher_steps)
            sample = sample_ddim(self.frozen_teacher(context), self.schedule, eps, y, grid)
        x_1 = sample.clone()
        alpha = (1 - tau) / torch.hypot(1 - tau, tau)
        t = self.schedule.time(alpha).clamp_min(1)
        beyond = alpha < self.schedule.alpha(t.new_tensor(self.schedule.steps))
        x_t = torch.where(beyond.view(-1, 1, 1, 1), eps, self.schedule.add_noise(x_1, eps, t))
        target = Prediction(x_1, self.schedule.eps_from_x_0(x_t, x_1, t))
        found = self.denoiser.condition(context)(x_t, t, y)
        return {"loss": (velocity(found) - velocity(target)).square().mean()}


def velocity(prediction: Prediction) -> Tensor:
    """dz / d(-tau) of a straight path, `x_0 - eps`."""
    return prediction.x_0 - prediction.eps
