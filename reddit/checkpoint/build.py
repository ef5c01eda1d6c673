"""Building networks and noise schedules from settings; no other file does."""

from __future__ import annotations

import torch

from reddit.config import Config, DiffusionConfig, ModelConfig
from reddit.diffusion import Denoiser, NoiseSchedule
from reddit.models import CompactUNet, ConditionalUNet
from reddit.utils.errors import UserError


def build_schedule(config: DiffusionConfig) -> NoiseSchedule:
    """The configured noise schedule.

    Raises:
        UserError: the settings make no schedule.
    """
    try:
        return NoiseSchedule(
            config.schedule, config.steps, config.beta_start, config.beta_end, config.zero_terminal_snr
        )
    except ValueError as error:
        raise UserError(
            f"diffusion: {error} (steps {config.steps}, beta_start {config.beta_start:g}, beta_end "
            f"{config.beta_end:g}; the paper has 512, 0.0001 and 0.02)"
        ) from error


def build_network(config: ModelConfig) -> ConditionalUNet | CompactUNet:
    if config.architecture == "compact":
        return CompactUNet(config.width, config.multipliers, config.blocks, config.unshuffle, config.detail)
    return ConditionalUNet(
        width=config.width,
        multipliers=config.multipliers,
        blocks=config.blocks,
        attention_levels=config.attention_levels,
        groups=config.groups,
        unshuffle=config.unshuffle,
        log_condition=config.log_condition,
        block=config.block,
        context=config.context,
    )


def build_denoiser(config: Config) -> Denoiser:
    """A denoiser with untrained weights, in channels-last memory order."""
    network = build_network(config.model).to(memory_format=torch.channels_last)
    schedule = build_schedule(config.diffusion)
    return Denoiser(network, schedule, config.model.prediction, config.diffusion.mask_x_T)
