"""Diffusion: the schedule, the denoiser, the trajectory and the samplers."""

from reddit.diffusion.denoiser import Denoiser, DenoiserFunction, SecondInput, clipped, without_pure_noise
from reddit.diffusion.gaussian import gaussian_denoiser, gaussian_flow
from reddit.diffusion.multistep import sample_dpmpp, sample_unipc
from reddit.diffusion.samplers import (
    SAMPLERS,
    STOCHASTIC,
    noise_like,
    sample_consistency,
    sample_ddim,
    sample_ddim_authors,
    sample_ddpm,
    step_of,
)
from reddit.diffusion.schedule import NoiseSchedule, Prediction
from reddit.diffusion.trajectory import (
    ddim_step,
    decode,
    decode_second_order,
    target_gain,
    x0_target,
)

__all__ = [
    "SAMPLERS",
    "STOCHASTIC",
    "Denoiser",
    "DenoiserFunction",
    "NoiseSchedule",
    "Prediction",
    "SecondInput",
    "clipped",
    "ddim_step",
    "decode",
    "decode_second_order",
    "gaussian_denoiser",
    "gaussian_flow",
    "noise_like",
    "sample_consistency",
    "sample_ddim",
    "sample_ddim_authors",
    "sample_ddpm",
    "sample_dpmpp",
    "sample_unipc",
    "step_of",
    "target_gain",
    "without_pure_noise",
    "x0_target",
]
