"""Methods whose targets come from a moving average of the student's weights."""

from __future__ import annotations

import copy
from typing import Literal, TypeVar

import torch
from torch import Tensor

from reddit.config import ConsistencyConfig, CTMConfig, ShortcutConfig
from reddit.methods.distillation import Distillation, PerceptualDistance
from reddit.utils.profiling import phase

Settings = TypeVar("Settings", ConsistencyConfig, CTMConfig, ShortcutConfig)


class AveragedTarget(Distillation[Settings]):
    """A distillation with `target`, the student with an exponential moving average of its weights."""

    def set_up(self) -> None:
        self.target = copy.deepcopy(self.denoiser).eval().requires_grad_(False)
        # As a submodule of the student it is saved and resumed; checkpoints hold only `student.network`.
        self.denoiser.add_module("target", self.target.network)
        self._updated: int | None = None

    @torch.no_grad()
    def update_target(self, iteration: int) -> None:
        """Update the average once per iteration, however many micro-batches there are."""
        if iteration == self._updated:
            return
        self._updated = iteration
        target = list(self.target.network.state_dict().values())
        student = list(self.denoiser.network.state_dict().values())
        torch._foreach_lerp_(target, student, 1 - self.config.target_ema)


def distance(
    kind: Literal["l2", "lpips"], perceptual: PerceptualDistance | None, found: Tensor, target: Tensor
) -> Tensor:
    """The mean squared error, or the perceptual distance, of images (B, 3, H, W) in [-1, 1]."""
    if kind == "l2" or perceptual is None:
        return (found - target).square().mean()
    with phase("perceptual"):
        return perceptual((found + 1) / 2, (target + 1) / 2).mean()
