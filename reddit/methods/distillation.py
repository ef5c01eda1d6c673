"""What all distillations have in common: a student, its frozen teacher, and how many steps each takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from pydantic import BaseModel
from torch import Tensor

from reddit.config import SamplerName
from reddit.data import Batch
from reddit.diffusion import Denoiser, DenoiserFunction, clipped
from reddit.methods.method import StepRNG

Settings = TypeVar("Settings", bound=BaseModel)
PerceptualDistance = Callable[[Tensor, Tensor], Tensor]
"""(output, gt), both (B, 3, H, W) in [0, 1] → (B,)."""


class Distillation(Generic[Settings]):
    """Teaches a student of N steps; a method is a subclass with a `name` and `losses`.

    Args:
        student: the network to train, usually a copy of the teacher.
        teacher: frozen, on the same schedule.
        steps: N.
        config: the settings of the method, `distill.NAME`.
        clip: hold the clean images of teacher and student in [-1, 1], as when they sample.
        perceptual: a distance between images; may be None unless `needs_perceptual`.
        teacher_steps: the steps that the teacher takes; 2N by default.

    Raises:
        ValueError: the settings ask for a perceptual distance and there is none.
    """

    name: str
    halving = True
    """Whether N steps are learnt from a model of 2N, or straight from the teacher of the family."""
    sampler: SamplerName | None = None
    """How its students are sampled; None: as the configuration says."""

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

    @classmethod
    def needs_perceptual(cls, config: Settings) -> bool:
        """Whether a loss takes a perceptual distance, whose network must then be loaded."""
        return False

    @classmethod
    def needs_denoised(cls, config: Settings) -> bool:
        """Whether the batch's `denoised` pictures are used, which take a while to prepare."""
        return False

    @classmethod
    def students(cls, teacher_steps: int) -> list[int]:
        """The step counts that a teacher of so many steps can teach, most first."""
        if not cls.halving:
            return [n for n in range(teacher_steps - 1, 0, -1) if teacher_steps % n == 0]
        return [teacher_steps // 2] if teacher_steps % 2 == 0 else []

    def frozen_teacher(self, context: Tensor | None) -> DenoiserFunction:
        """The teacher as it samples, for pictures whose thumbnails are `context`."""
        return self.as_sampled(self.teacher.condition(context))

    def as_sampled(self, denoiser: DenoiserFunction) -> DenoiserFunction:
        """A denoiser as sampling uses it: clean images held in [-1, 1], unless `clip` is off."""
        return clipped(denoiser, self.schedule) if self.clip else denoiser

    def losses(self, batch: Batch, rng: StepRNG) -> dict[str, Tensor]:
        """See `Method`."""
        raise NotImplementedError
