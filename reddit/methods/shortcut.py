"""Shortcut models (Frans et al. 2024), a rival of ReDDiT: one student for every number of steps."""

from __future__ import annotations

import torch
from torch import Tensor

from reddit.config import ShortcutConfig
from reddit.data import Batch
from reddit.diffusion import decode_second_order, x0_target
from reddit.methods.averaged_target import AveragedTarget
from reddit.methods.losses import weighted_mse
from reddit.methods.method import StepRNG, context_of, to_minus_one_one
from reddit.utils.device import to_device_of
from reddit.utils.profiling import phase


class Shortcut(AveragedTarget[ShortcutConfig]):
    """Their algorithm 1: a network takes the length of its step, and one step learns from two of half of it.

    A step is DDIM's from t to t - d with the network's clean image. Along the straight path of
    `z = x_t / (alpha_t + sigma_t)`, in `tau = sigma_t / (alpha_t + sigma_t)`, that is their step by the
    velocity `x_0 - eps` (see `reddit.methods.reflow`). With M the teacher's steps, the shortest step is T/M
    and counts as infinitely short:

        probability         d                  target
        1 - p_consistency   0 … T/M            x_0, the ground truth (flow matching)
        p_consistency       2T/M, 4T/M, … T    the x_0 whose step lands where two steps of d/2 land (eq. 5),
                                               by the student with a moving average of its weights

    at the times t = d, 2d, … T (multiples of T/M for the first) at which a sampler of T/d steps asks for it.
    The velocity of the second target is the mean of those of its two halves, weighted by their lengths in
    tau, which in the paper are equal. The loss is the squared error of the velocity,
    `(1 + alpha_t / sigma_t)² ‖x̂ - target‖²`.

    The second input starts without effect: a student starts as its teacher, which gives no more than these
    weights. The ground truth teaches the shortest step, and the student itself the others.

    Adapted: the network sees the low-light image (and its thumbnail). Steps are equally long in t, as those
    of the samplers. M is 16 with the usual teacher, not 128. Each sample draws which of the two it learns.
    Targets are clipped as in sampling.
    """

    name = "shortcut"
    halving = False
    sampler = "ddim"
    second_input = "step"
    every_steps = True

    @classmethod
    def students(cls, teacher_steps: int) -> list[int]:
        found = []
        while teacher_steps % 2 == 0:
            teacher_steps //= 2
            found.append(teacher_steps)
        return found

    def losses(self, batch: Batch, rng: StepRNG) -> dict[str, Tensor]:
        self.update_target(rng.iteration)
        x_0, y = to_minus_one_one(batch["high"]), to_minus_one_one(batch["low"])
        context = context_of(batch, self.denoiser)
        eps = rng.noise(x_0)
        t, step, doubled = self._draw_steps(rng)
        x_t = self.schedule.add_noise(x_0, eps, t)
        target = self._targets(x_0, x_t, y, context, t, step, doubled)
        found = self.denoiser.condition(context, step)(x_t, t, y).x_0
        weight = (1 + self.schedule.alpha(t) / self.schedule.sigma(t)) ** 2
        return {"loss": weighted_mse(found, target, weight)}

    def _draw_steps(self, rng: StepRNG) -> tuple[Tensor, Tensor, Tensor]:
        """Times t, lengths of steps, and whether they are learnt from two halves; each (B,)."""
        spacing = self.schedule.steps / self.teacher_steps
        levels = len(self.students(self.teacher_steps))
        doubled = (rng.uniform() < self.config.p_consistency) & (levels > 0)
        length = torch.where(doubled, 2 ** (1 + (rng.uniform() * levels).floor()), 1)
        t = length * (1 + (rng.uniform() * (self.teacher_steps / length)).floor())
        step = torch.where(doubled, length, rng.uniform())
        return t * spacing, step * spacing, doubled

    def _targets(
        self,
        x_0: Tensor,
        x_t: Tensor,
        y: Tensor,
        context: Tensor | None,
        t: Tensor,
        step: Tensor,
        doubled: Tensor,
    ) -> Tensor:
        """The ground truth, and for `doubled` samples what two half steps reach, as a clean image."""
        index = doubled.nonzero()[:, 0]
        if not len(index):
            return x_0
        t, step, there = t[index], step[index], to_device_of(x_0, index, torch.long)
        s = t - step
        with torch.inference_mode(), phase("target"):
            thumbnails = None if context is None else context[there]
            half = self.as_sampled(self.target.condition(thumbnails, step / 2))
            x, y = x_t[there], y[there]
            x_s = decode_second_order(half, self.schedule, x, y, t, t - step / 2, s).x_s
            target = x0_target(self.schedule, x, x_s, t, s).x_0
        return x_0.index_copy(0, there, target.to(x_0.dtype))
