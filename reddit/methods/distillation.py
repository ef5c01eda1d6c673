"""The base class of distillation methods: a student, its frozen teacher, and the steps of both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from pydantic import BaseModel
from torch import Tensor

from reddit.config import SamplerName
from reddit.data import Batch
from reddit.diffusion import Denoiser, DenoiserFunction, SecondInput, clipped
from reddit.methods.method import StepRNG

Settings = TypeVar("Settings", bound=BaseModel)
PerceptualDistance = Callable[[Tensor, Tensor], Tensor]
"""(output, gt), both (B, 3, H, W) in [0, 1] → (B,)."""


class Distillation(Generic[Settings]):
    """Trains a student of N steps. A method is a subclass with a `name` and `losses`.

    Args:
        student: the network to train, usually a copy of the teacher.
        teacher: the frozen teacher, with the same noise schedule.
        steps: N.
        config: the settings of the method, `distill.NAME`.
        clip: clip the predicted clean images of teacher and student to [-1, 1], as when they sample.
        perceptual: a distance between images; required if `needs_perceptual`.
        teacher_steps: the teacher's steps; default 2N.

    Raises:
        ValueError: the settings need a perceptual distance and there is none.
    """

    name: str
    halving = True
    """True: the teacher is a model of 2N steps. False: the teacher of the family."""
    sampler: SamplerName | None = None
    """The sampler of its students; None: the configured one."""
    second_input: SecondInput = "none"
    """The second scalar that its students' networks take; see `reddit.diffusion.Denoiser`."""
    every_steps = False
    """Whether one student serves every number of steps; N is then where its weights are chosen."""

    def __init__(
        self,
        student: Denoiser,
        teacher: Denoiser,
        steps: int,
        config: Settings,
        clip: bool = True,
        perceptual: PerceptualDistance | None = None,
        teacher_steps: int | None = None,
    ) -> None:
        if perceptual is None and self.needs_perceptual(config):
            raise ValueError(f"{self.name} with these settings needs a perceptual distance")
        self.denoiser = student.requires_grad_(True)  # it may be a copy of a frozen teacher
        self.schedule = student.schedule
        self.teacher = teacher.eval().requires_grad_(False)
        self.clip = clip
        self.steps = steps
        self.teacher_steps = teacher_steps or 2 * steps
        self.config = config
        self.perceptual = perceptual
        self.set_up()

    def set_up(self) -> None:
        """Create further state of a method; called at the end of the constructor."""

    @classmethod
    def needs_perceptual(cls, config: Settings) -> bool:
        """Whether a loss uses the perceptual distance, so that its network must be loaded."""
        return False

    @classmethod
    def needs_denoised(cls, config: Settings) -> bool:
        """Whether `batch["denoised"]` is used, which takes time to prepare."""
        return False

    @classmethod
    def students(cls, teacher_steps: int) -> list[int]:
        """The possible numbers of steps of a student of such a teacher, in decreasing order."""
        if not cls.halving:
            return [n for n in range(teacher_steps - 1, 0, -1) if teacher_steps % n == 0]
        return [teacher_steps // 2] if teacher_steps % 2 == 0 else []

    def frozen_teacher(self, context: Tensor | None) -> DenoiserFunction:
        """The teacher as when it samples, conditioned on the thumbnails `context`."""
        return self.as_sampled(self.teacher.condition(context))

    def as_sampled(self, denoiser: DenoiserFunction) -> DenoiserFunction:
        """The denoiser as when it samples: clean images clipped to [-1, 1], unless `clip` is off."""
        return clipped(denoiser, self.schedule) if self.clip else denoiser

    def losses(self, batch: Batch, rng: StepRNG) -> dict[str, Tensor]:
        """See `Method`."""
        raise NotImplementedError
