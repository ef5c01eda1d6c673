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
