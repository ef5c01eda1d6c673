"""From settings to objects: the only place that reads a configuration to make a network or schedule."""

from __future__ import annotations

import os

import torch

from reddit.config import Config, DiffusionConfig, ModelConfig
from reddit.diffusion import Denoiser, NoiseSchedule
from reddit.errors import UserError
from reddit.models import ConditionalUNet


def build_schedule(config: DiffusionConfig) -> NoiseSchedule:
    return NoiseSchedule(
        config.schedule, config.steps, config.beta_start, config.beta_end, config.zero_terminal_snr
    )


def build_network(config: ModelConfig) -> ConditionalUNet:
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
    """A denoiser with fresh weights, in channels-last memory order."""
    network = build_network(config.model).to(memory_format=torch.channels_last)
    schedule = build_schedule(config.diffusion)
    return Denoiser(network, schedule, config.model.prediction, config.diffusion.blind_start)


def choose_device(name: str) -> torch.device:
    """`auto` takes a GPU if there is one: of several processes, each its own.

    Raises:
        UserError: cuda was asked for and there is none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("device: cuda was asked for, but this machine has no usable GPU; set device=auto")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and "LOCAL_RANK" in os.environ:
        return torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    return torch.device(name)


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Mixed precision for networks; `fp32` switches it off.

    Raises:
        UserError: fp16 on a processor, whose half-precision convolutions are slower than fp32.
    """
    if precision == "fp16" and device.type == "cpu":
        raise UserError("precision: fp16 needs a GPU; on this processor use bf16 or fp32")
    dtype = torch.float16 if precision == "fp16" else torch.bfloat16
    return torch.autocast(device.type, dtype, enabled=precision != "fp32")
