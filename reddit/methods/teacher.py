"""Teacher training: predict the noise (or v, or the clean image) at every noise level."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from reddit.data import Batch
from reddit.diffusion import Denoiser
from reddit.methods.distillation import PerceptualDistance
from reddit.methods.losses import ssim_loss
from reddit.methods.method import StepRNG, context_of, replaced, to_minus_one_one
from reddit.utils.device import to_device_of
from reddit.utils.profiling import phase


class Teacher:
    """`‖network(x_t, y, alpha_t) - target‖` with t uniform in (0, T] (Ho et al. 2020; SR3).

    Args:
        denoiser: the network to train.
        steps: its sampling steps.
        loss: `l2`, or `l1` as SR3.
        p_terminal: probability that a sample is at T, from pure noise, where sampling starts.
        w_per: weight of the perceptual distance between the clean images predicted at T and the ground truth.
        w_ssim: weight of 1 - SSIM between them.
        perceptual: that distance; required if `w_per` is not 0.
    """

    name = "teacher"

    def __init__(
        self,
        denoiser: Denoiser,
        steps: int,
        loss: Literal["l1", "l2"] = "l2",
        p_terminal: float = 0.0,
        w_per: float = 0.0,
        w_ssim: float = 0.0,
        perceptual: PerceptualDistance | None = None,
    ) -> None:
        self.denoiser = denoiser
        self.steps = steps
        self.distance = F.l1_loss if loss == "l1" else F.mse_loss
        self.p_terminal = p_terminal
        self.w_per = w_per
        self.w_ssim = w_ssim
        self.perceptual = perceptual

    def losses(self, batch: Batch, rng: StepRNG) -> dict[str, Tensor]:
        schedule = self.denoiser.schedule
        x_0, y = to_minus_one_one(batch["high"]), to_minus_one_one(batch["low"])
        eps = rng.noise(x_0)
        t = (1 - rng.uniform()) * schedule.steps
        terminal = rng.uniform() < self.p_terminal
        t = torch.where(terminal, torch.full_like(t, schedule.steps), t)
        x_t = replaced(schedule.add_noise(x_0, eps, t), terminal, eps)
        output = self.denoiser.output(x_t, t, y, context_of(batch, self.denoiser))
        target = schedule.target(self.denoiser.prediction, x_0, eps, t)
        l_per, l_ssim = self._image_losses(output, x_t, x_0, t, terminal)
        loss = self.distance(output, target) + self.w_per * l_per + self.w_ssim * l_ssim
        return {"loss": loss, "l_per": l_per, "l_ssim": l_ssim}

    def _image_losses(
        self, output: Tensor, x_t: Tensor, x_0: Tensor, t: Tensor, terminal: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The perceptual and the SSIM loss of the clean images predicted at T.

        Each is the sum over these samples, divided by the size of the batch.
        """
        l_per = l_ssim = output.new_zeros(())
        index = terminal.nonzero()[:, 0]
        if not len(index) or not (self.w_per or self.w_ssim):
            return l_per, l_ssim
        prediction, t = self.denoiser.prediction, t[index]
        index = to_device_of(output, index, torch.long)
        found = self.denoiser.schedule.interpret(prediction, output[index], x_t[index], t).x_0
        if self.perceptual is not None and self.w_per:
            with phase("perceptual"):
                l_per = self.perceptual((found + 1) / 2, (x_0[index] + 1) / 2).sum() / len(x_0)
        if self.w_ssim:
            l_ssim = ssim_loss(found, x_0[index]).sum() / len(x_0)
        return l_per, l_ssim
