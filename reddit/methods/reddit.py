"""ReDDiT: step-halving distillation with reflectance-aware trajectory refinement (eq. 1 to 12)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from reddit.config import ReDDiTConfig
from reddit.data import Batch
from reddit.diffusion import (
    DenoiserFunction,
    Prediction,
    decode,
    decode_second_order,
    x0_target,
)
from reddit.image.arrays import SYMMETRIES
from reddit.image.geometry import turn, turn_back
from reddit.methods.distillation import Distillation
from reddit.methods.losses import (
    brightness_loss,
    illumination_loss,
    lambda_weight,
    ssim_loss,
    total_loss,
    weighted_mse,
)
from reddit.methods.method import StepRNG, context_of, replaced, to_minus_one_one
from reddit.methods.retinex import (
    illumination,
    noise_map,
    refine,
    refinement_strength,
    reflectance,
    reflectance_authors,
    remap,
)
from reddit.utils.device import clear_casts
from reddit.utils.profiling import phase

WRAPPED_FLOOR = 0.1
"""Smallest magnitude of the denominator of eq. 5 where s may be drawn on either side of t."""


SHIFT, SHIFTS = 8, 4
"""A sample is shifted by 0, 8, 16 or 24 pixels down and right for the brightness of its parts."""


class Times(NamedTuple):
    """Neighbouring times t > u > s of the teacher's grid, each (B,), float64, on the processor."""

    t: Tensor
    u: Tensor
    s: Tensor


class ReDDiT(Distillation[ReDDiTConfig]):
    """Trains a student of N steps to reach in one step what its teacher reaches in two (eq. 1 to 12)."""

    name = "reddit"

    @classmethod
    def needs_perceptual(cls, config: ReDDiTConfig) -> bool:
        return config.w_per > 0

    @classmethod
    def needs_denoised(cls, config: ReDDiTConfig) -> bool:
        return config.omega > 0 and config.w_dis > 0 and config.reflectance == "retinex"

    def losses(self, batch: Batch, rng: StepRNG) -> dict[str, Tensor]:
        x_0, y = to_minus_one_one(batch["high"]), to_minus_one_one(batch["low"])
        context = context_of(batch, self.denoiser)
        student = self.denoiser.condition(context)
        times, x_t = self._start(student, x_0, y, rng)
        x_0_student = student(x_t, times.t, y).x_0

        weight = lambda_weight(self.schedule, times.t, self.config.lambda_rule)
        l_pix = weighted_mse(x_0_student, x_0, weight)  # eq. 10
        l_dis = l_per = l_ssim = l_illumination = l_shift = torch.zeros_like(l_pix)
        if self.config.w_dis > 0:
            symmetries = self._draw_symmetries(rng)
            target = self.target(x_t, y, times, self._reflectance(batch), context, symmetries)
            l_dis = weighted_mse(x_0_student, target.x_0, weight)  # eq. 6
        if self.perceptual is not None and self.config.w_per > 0:
            with phase("perceptual"):
                l_per = self.perceptual((x_0_student + 1) / 2, batch["high"]).mean()  # eq. 11
        if self.config.w_ssim > 0:
            l_ssim = ssim_loss(x_0_student, x_0).mean()
        if self.config.w_illumination > 0:
            l_illumination = illumination_loss(x_0_student, x_0)
        if self.config.w_shift > 0:
            l_shift = self._shift_loss(x_t, times.t, y, context, x_0_student, rng)
        loss = total_loss(self.config.w_dis * l_dis, l_pix, l_per, self.config.w_pix, self.config.w_per)
        config = self.config
        extras = ((config.w_ssim, l_ssim), (config.w_illumination, l_illumination), (config.w_shift, l_shift))
        for share, extra in extras:
            loss = loss + share * extra if share else loss
        return {
            "loss": loss,
            "l_dis": l_dis,
            "l_pix": l_pix,
            "l_per": l_per,
            "l_ssim": l_ssim,
            "l_illumination": l_illumination,
            "l_shift": l_shift,
        }

    def _shift_loss(
        self, x_t: Tensor, t: Tensor, y: Tensor, context: Tensor | None, x_0_student: Tensor, rng: StepRNG
    ) -> Tensor:
        """How the student's mean changes if a sample is cropped at its top and left, and turned."""
        top, left = (SHIFT * int(rng.batch_uniform() * SHIFTS) for _ in range(2))
        g = int(rng.batch_uniform() * SYMMETRIES)
        part = (..., slice(top, None), slice(left, None))
        student = self.denoiser.condition(None if context is None else turn(context, g))
        turned = student(turn(x_t[part], g), t, turn(y[part], g)).x_0
        return brightness_loss(turned, x_0_student[part])

    def target(
        self,
        x_t: Tensor,
        y: Tensor,
        times: Times,
        r: Tensor,
        context: Tensor | None = None,
        symmetries: Sequence[int] = (0,),
    ) -> Prediction:
        """The student's target at `x_t`: eq. 3, refined by eq. 8 and 9, converted by eq. 5.

        The teacher's x_s and eps are averaged over `symmetries`, numbered as by `turn`.
        """
        t, _, s = times
        with torch.inference_mode():
            with phase("teacher"):
                turned = [self._decode_turned(g, x_t, y, times, context) for g in symmetries]
                x_s, eps = (torch.stack(images).mean(dim=0) for images in zip(*turned, strict=True))
            if self.config.omega > 0:
                with phase("RATR"):
                    omega = refinement_strength(
                        self.schedule, self.config.omega, t, s, self.config.omega_space
                    )
                    x_s = refine(x_s, remap(self.schedule, r, eps, s), omega)
            floor = WRAPPED_FLOOR if self.config.last_interval == "wrapped" else 0.0
            target = x0_target(self.schedule, x_t, x_s, t, s, floor)
        return Prediction(target.x_0.clone(), target.eps.clone())  # a loss cannot save inference tensors

    def _decode_turned(
        self, g: int, x_t: Tensor, y: Tensor, times: Times, context: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """x_s and eps of the teacher for symmetry g, turned back: eq. 3; with `order` 1, eq. 2."""
        t, u, s = times
        x_t, y = turn(x_t, g), turn(y, g)
        teacher = self.frozen_teacher(None if context is None else turn(context, g))
        if self.config.order == 1:
            decoded = decode(teacher, self.schedule, x_t, y, t, s)
        else:
            decoded = decode_second_order(teacher, self.schedule, x_t, y, t, u, s)
        return turn_back(decoded.x_s, g), turn_back(decoded.prediction.eps, g)

    def _draw_symmetries(self, rng: StepRNG) -> list[int]:
        """Different symmetries for the batch; the identity alone if `symmetries` is 1."""
        if self.config.symmetries == 1:
            return [0]
        order = sorted(range(SYMMETRIES), key=lambda _: rng.batch_uniform())
        return order[: self.config.symmetries]

    def draw_times(self, interval: Tensor, rng: StepRNG) -> Times:
        """The times of intervals k = 1 … N (B,): grid points 2k, 2k-1 and 2k-2 of the teacher's 2N.

        With jitter, each level alpha is drawn uniformly between its grid point and the next cleaner one.
        In the last interval s stays clean.

        Fault D2 (`last_interval=wrapped`): the next cleaner point of that s, index -1, wraps around to T,
        so s lies anywhere between clean and T.
        """
        points = torch.stack([2 * interval - j for j in range(3)])
        spacing = self.schedule.steps / (2 * self.steps)
        if self.config.jitter == "none":
            return Times(*(points.double() * spacing))
        rows = 1 if self.config.jitter == "shared" else 3
        shift = torch.stack([rng.uniform() for _ in range(rows)]).expand(3, -1)
        cleaner = points - 1
        cleaner[cleaner < 0] = 2 * self.steps if self.config.last_interval == "wrapped" else 0
        alpha, cleaner_alpha = (self.schedule.alpha(index * spacing) for index in (points, cleaner))
        return Times(*self.schedule.time(torch.lerp(alpha, cleaner_alpha, shift)))

    def _start(self, student: DenoiserFunction, x_0: Tensor, y: Tensor, rng: StepRNG) -> tuple[Times, Tensor]:
        """Times and noisy images: from the data, from pure noise, or from a rollout of the student."""
        eps = rng.noise(x_0)
        if rng.batch_uniform() < self.config.p_rollout:
            interval = 1 + int(rng.batch_uniform() * self.steps)
            with phase("rollout"):
                return self._rollout(student, interval, eps, y)
        intervals = 1 + (rng.uniform() * self.steps).long()
        terminal = rng.uniform() < self.config.p_terminal
        drawn = self.draw_times(intervals, rng)
        last = Times(*(torch.full_like(drawn.t, self._grid_time(self.steps, j)) for j in range(3)))
        times = Times(*(torch.where(terminal, a, b) for a, b in zip(last, drawn, strict=True)))
        return times, replaced(self.schedule.add_noise(x_0, eps, times.t), terminal, eps)

    @torch.no_grad()
    def _rollout(
        self, student: DenoiserFunction, interval: int, x: Tensor, y: Tensor
    ) -> tuple[Times, Tensor]:
        for k in range(self.steps, interval, -1):
            t, s = (torch.full((len(x),), self._grid_time(k, j)) for j in (0, 2))
            x = decode(self.as_sampled(student), self.schedule, x, y, t, s).x_s
        clear_casts()
        times = (torch.full((len(x),), self._grid_time(interval, j), dtype=torch.float64) for j in range(3))
        return Times(*times), x

    def _grid_time(self, interval: int, j: int) -> float:
        return (2 * interval - j) * self.schedule.steps / (2 * self.steps)

    def _reflectance(self, batch: Batch) -> Tensor:
        """r of eq. 7 in [-1, 1]."""
        y = batch["low"]
        if self.config.reflectance == "authors":
            return reflectance_authors(y)
        h = illumination(y, self.config.illumination)
        n = noise_map(y, batch["denoised"], self.config.noise)
        return to_minus_one_one(reflectance(y, h, n, self.config.illumination_floor))
