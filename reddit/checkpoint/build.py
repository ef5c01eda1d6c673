"""Building networks and noise schedules from settings; no other file does."""

from __future__ import annotations

from functools import lru_cache

import torch

from reddit.config import Config, DiffusionConfig, ModelConfig
from reddit.diffusion import Denoiser, NoiseSchedule
from reddit.models import CompactUNet, ConditionalUNet, count_parameters
from reddit.utils.errors import UserError
from reddit.utils.limits import limit_of

MILLION_PARAMETERS, LIMIT = 300.0, "REDDIT_MAX_MILLION_PARAMETERS"
"""The largest network that is built, and the environment variable that raises it; its training takes 20 bytes
a parameter."""


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
    second_input = config.second_input != "none"
    if config.architecture == "compact":
        sizes = (config.width, config.multipliers, config.blocks, config.unshuffle, config.detail)
        return CompactUNet(*sizes, second_input)
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
        second_input=second_input,
    )


def check_size(config: ModelConfig) -> None:
    """See that a network is not too large, before it takes memory.

    Raises:
        UserError: it is.
    """
    limit = limit_of(LIMIT, MILLION_PARAMETERS, "million parameters")
    millions = _millions(config.model_dump_json())
    if millions > limit:
        raise UserError(
            f"model: the network has {millions:.0f} million parameters, more than {limit:g}: lower "
            f"model.width, multipliers or blocks, or raise {LIMIT}"
        )


@lru_cache
def _millions(model: str) -> float:
    """The parameters of the network of these settings, as JSON."""
    with torch.device("meta"):
        return count_parameters(build_network(ModelConfig.model_validate_json(model))) / 1e6


def build_denoiser(config: Config) -> Denoiser:
    """A denoiser with untrained weights, in channels-last memory order.

    Raises:
        UserError: the settings make no schedule, or too large a network.
    """
    check_size(config.model)
    network = build_network(config.model).to(memory_format=torch.channels_last)
    schedule = build_schedule(config.diffusion)
    return Denoiser(
        network, schedule, config.model.prediction, config.diffusion.mask_x_T, config.model.second_input
    )
