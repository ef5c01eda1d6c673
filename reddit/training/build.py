"""Building training methods from settings."""

from __future__ import annotations

from typing import Any

import torch

from reddit.config import Config
from reddit.data.crops import Denoise
from reddit.data.denoised import make_denoiser
from reddit.diffusion import Denoiser
from reddit.methods import Distillation, Teacher, distillation_named
from reddit.metrics import LPIPS
from reddit.utils.errors import UserError


def build_teacher(config: Config, denoiser: Denoiser, *, trained: bool = True) -> Teacher:
    """The configured teacher training of a denoiser.

    Args:
        trained: False leaves the weights of the perceptual distance random, to count what it computes.
    """
    settings, perceptual = config.teacher, None
    if settings.w_per:
        perceptual = _perceptual(config, next(denoiser.parameters()).device, trained)
    return Teacher(
        denoiser,
        config.diffusion.teacher_steps,
        settings.loss,
        settings.p_terminal,
        settings.w_per,
        settings.w_ssim,
        perceptual,
    )


def student_config(config: Config) -> Config:
    """The configuration of a student of its method: with the method's sampler and second input, if any.

    Raises:
        UserError: unknown method; the configuration asks for another second input.
    """
    kind = distillation_named(config.distill.method)
    own = config.model.second_input
    if own not in ("none", kind.second_input):
        takes = "no second input" if kind.second_input == "none" else f"{kind.second_input!r}"
        raise UserError(
            f"model.second_input: {own!r}, but students of {kind.name} take {takes}; leave it out, and name "
            "a --teacher without one"
        )
    model = config.model.model_copy(update={"second_input": kind.second_input})
    sampler = kind.sampler or config.diffusion.sampler
    diffusion = config.diffusion.model_copy(update={"sampler": sampler})
    return config.model_copy(update={"model": model, "diffusion": diffusion})


def start_as(student: Denoiser, teacher: Denoiser) -> None:
    """Give a student its teacher's weights; those of a second input stay as they are, without effect.

    Raises:
        ValueError: the networks differ otherwise.
    """
    lacking = student.network.load_state_dict(teacher.network.state_dict(), strict=False)
    if lacking.unexpected_keys or any(not key.startswith("second.") for key in lacking.missing_keys):
        raise ValueError(f"the networks differ: {lacking}")


def build_distillation(
    config: Config,
    student: Denoiser,
    frozen_teacher: Denoiser,
    *,
    steps: int,
    teacher_steps: int,
    device: torch.device,
    trained: bool = True,
) -> Distillation[Any]:
    """The configured distillation of a student of N steps; `trained` as of `build_teacher`.

    Raises:
        UserError: unknown method; the weights of the perceptual distance are missing.
    """
    kind = distillation_named(config.distill.method)
    settings, perceptual = config.distill.settings(kind.name), None
    if kind.needs_perceptual(settings):
        perceptual = _perceptual(config, device, trained)
    clip = config.diffusion.clip
    return kind(student, frozen_teacher, steps, settings, clip, perceptual, teacher_steps)


def _perceptual(config: Config, device: torch.device, trained: bool) -> LPIPS:
    return LPIPS(config.perceptual.backbone, config.perceptual.weights, trained=trained).to(device)


def build_denoise(config: Config) -> Denoise | None:
    """D of equation 7, or None if the configured distillation does not use it; cached in `runs/cache`."""
    kind, settings = distillation_named(config.distill.method), config.distill.reddit
    if not kind.needs_denoised(config.distill.settings(kind.name)):
        return None
    cache = config.runs_folder() / "cache" / "denoised"
    return make_denoiser(settings.denoiser, settings.nlm_strength, cache)
