"""Where to compute, and in which precision."""

from __future__ import annotations

import os
import socket

import torch
from torch import Tensor

from reddit.utils.errors import UserError
from reddit.utils.text import counted


def choose_device(name: str) -> torch.device:
    """The device of a name; `auto` is a GPU if there is one. Each of several processes gets its own GPU.

    Raises:
        UserError: cuda was asked for and there is none; there are fewer GPUs than processes.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("device: cuda was asked for, but this machine has no usable GPU; set device=auto")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and "LOCAL_RANK" in os.environ:
        local, count = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if local >= count:
            raise UserError(
                f"process {local} of {socket.gethostname()} finds {counted(count, 'GPU')}: "
                "lower --nproc_per_node, or hide the GPUs with CUDA_VISIBLE_DEVICES= to train on processors"
            )
        return torch.device("cuda", local)
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


def full_precision(device: torch.device) -> torch.autocast:
    """No mixed precision, even inside an `autocast` block."""
    return torch.autocast(device.type, enabled=False)


def to_device_of(like: Tensor, values: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """Values of the processor on the device of `like`, in its dtype or another, without waiting for a GPU."""
    values = values.to(dtype or like.dtype)
    if like.device.type == "cuda" and values.device.type == "cpu":
        values = values.pin_memory()
    return values.to(like.device, non_blocking=True)


def clear_casts() -> None:
    """Clear casts of the weights that were cached without gradients inside an autocast block.

    Older versions of PyTorch would use them again with gradients, which then do not reach the weights.
    """
    torch.clear_autocast_cache()
