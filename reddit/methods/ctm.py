"""Consistency trajectory models (Kim et al. 2023), a rival of ReDDiT with the same teacher."""

from __future__ import annotations

import torch
from torch import Tensor

from reddit.config import CTMConfig
from reddit.data import Batch
from reddit.diffusion import Denoiser, decode
from reddit.methods.averaged_target import AveragedTarget, distance
from reddit.methods.losses import lambda_weight, weighted_mse
from reddit.methods.method import StepRNG, context_of, replaced, to_minus_one_one
from reddit.utils.device import to_device_of
from reddit.utils.profiling import phase


class ConsistencyTrajectory(AveragedTarget[CTMConfig]):
    """Their algorithm 1: one step from any state of a trajectory to any later one.

    The network g takes alpha_s beside alpha_t, and a step is DDIM's with g as its clean image:

        G(x_t, t, s) = (sigma_s / sigma_t) x_t + (alpha_s - (sigma_s / sigma_t) alpha_t) g(x_t, t, s)

    This is their `(s/t) x_t + (1 - s/t) g` on a variance-preserving schedule. So G(x_t, t, t) = x_t,
    g(x_t, t, 0) is the clean end of the trajectory, and g(x_t, t, t) the denoiser E[x_0 | x_t]. The second
    input starts without effect: a student starts as its teacher. For t > u >= s on the teacher's grid, t and
    then s < t and then u drawn uniformly (their soft consistency):

        x_u      from x_t by the teacher's DDIM steps
        target   g⁻(G⁻(x_u, u, s), s, 0)
        found    g⁻(G(x_t, t, s), s, 0)
        loss     d(found, target) + w_dsm lambda_t ‖g(x_t, t, t) - x_0‖²

    with d the squared error, or LPIPS (`distance`), and g⁻, G⁻ the student with a moving average of its
    weights. The second term is denoising score matching, in the form of eq. 10.

    Sampling is their algorithm 2 with gamma = 0, which is DDIM with this g; one student serves every number
    of steps. With the sampler `consistency` it is gamma = 1.

    Adapted: both networks see the low-light image (and its thumbnail). The solver is the teacher's DDIM,
    clipped as when it samples. `w_dsm` is a number; theirs balances the gradients of the two terms. The times
    of both terms lie on the teacher's grid. Their adversarial loss is left out.
    """

    name = "ctm"
    halving = False
    sampler = "ddim"
    second_input = "end"
    every_steps = True

    @classmethod
    def needs_perceptual(cls, config: CTMConfig) -> bool:
        return config.distance == "lpips"

    def losses(self, batch: Batch, rng: StepRNG) -> dict[str, Tensor]:
        self.update_target(rng.iteration)
        x_0, y = to_minus_one_one(batch["high"]), to_minus_one_one(batch["low"])
        context = context_of(batch, self.denoiser)
        eps = rng.noise(x_0)
        t, u, s = self._draw_times(rng)
        x_t = self.schedule.add_noise(x_0, eps, t)
        with torch.inference_mode():
            with phase("teacher"):
                x_u = self.solve(x_t, y, context, t, u)
            x_s = jump(self.target, x_u, y, context, u, s)
            target = jump(self.target, x_s, y, context, s, torch.zeros_like(s))
        x_s = jump(self.denoiser, x_t, y, context, t, s)
        found = jump(self.target, x_s, y, context, s, torch.zeros_like(s))
        l_ctm = distance(self.config.distance, self.perceptual, found, target.clone())
        l_dsm = torch.zeros_like(l_ctm)
        if self.config.w_dsm > 0:
            mean = self.denoiser.condition(context)(x_t, t, y).x_0
            l_dsm = weighted_mse(mean, x_0, lambda_weight(self.schedule, t))
        return {"loss": l_ctm + self.config.w_dsm * l_dsm, "l_ctm": l_ctm, "l_dsm": l_dsm}

    def _draw_times(self, rng: StepRNG) -> tuple[Tensor, Tensor, Tensor]:
        """t > u >= s on the teacher's grid, each (B,), float64."""
        t = 1 + (rng.uniform() * self.teacher_steps).floor()
        s = (rng.uniform() * t).floor()
        u = s + (rng.uniform() * (t - s)).floor()
        spacing = self.schedule.steps / self.teacher_steps
        return t * spacing, u * spacing, s * spacing

    def solve(self, x: Tensor, y: Tensor, context: Tensor | None, t: Tensor, u: Tensor) -> Tensor:
        """The state at u by the teacher's DDIM steps along its grid from `x` at t > u; times (B,)."""
        spacing = self.schedule.steps / self.teacher_steps
        while (going := t > u + spacing / 2).any():
            # Only those that have not arrived, which is a small part of the batch most of the time.
            index = going.nonzero()[:, 0]
            now, there = t[index], to_device_of(x, index, torch.long)
            thumbnails = None if context is None else context[there]
            teacher = self.frozen_teacher(thumbnails)
            x_next = decode(teacher, self.schedule, x[there], y[there], now, now - spacing).x_s
            x = x.index_copy(0, there, x_next.to(x.dtype))
            t = torch.where(going, t - spacing, t)
        return x


def jump(denoiser: Denoiser, x_t: Tensor, y: Tensor, context: Tensor | None, t: Tensor, s: Tensor) -> Tensor:
    """G(x_t, t, s), with s <= t; `x_t` where they are equal."""
    still = s >= t
    start = torch.where(still, t.clamp_min(1), t)  # at time 0 a step, whose result is not used, would be 0/0
    x_s = decode(denoiser.condition(context, start - s), denoiser.schedule, x_t, y, start, s).x_s
    return replaced(x_s, still, x_t)
