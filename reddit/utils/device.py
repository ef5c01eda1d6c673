"""Where to compute, and in which precision."""

from __future__ import annotations

import os
import socket
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from reddit.utils.errors import UserError
from reddit.utils.text import counted

AMPERE = (8, 0)
"""Compute capability of NVIDIA's first GPUs with arithmetic for bf16."""
CPU_FLAGS = Path("/proc/cpuinfo")
"""Where Linux lists what the processor can do; older versions of PyTorch do not tell."""


def choose_device(name: str) -> torch.device:
    """The device of a name; `auto` is a GPU if there is one. Each of several processes gets its own GPU.

    Raises:
        UserError: cuda or mps was asked for and there is none; there are fewer GPUs than processes.
    """
    usable = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(kind for kind, found in usable.items() if found)
    if not usable[name]:
        raise UserError(f"device: {name} was asked for, but this machine has no usable GPU; set device=auto")
    if name == "cuda" and "LOCAL_RANK" in os.environ:
        local, count = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if local >= count:
            raise UserError(
                f"process {local} of {socket.gethostname()} finds {counted(count, 'GPU')}: "
                "lower --nproc_per_node, or hide the GPUs with CUDA_VISIBLE_DEVICES= to train on processors"
            )
        return torch.device("cuda", local)
    return torch.device(name)


def precision_on(device: torch.device, precision: str) -> str:
    """The precision itself; for `auto` bf16 where the device has arithmetic for it, and fp32 elsewhere.

    A processor that lacks it takes two to nine times as long for bf16 as for fp32 (docs/benchmarks.md).
    """
    if precision != "auto":
        return precision
    if device.type == "cuda":
        has = torch.version.hip is not None or torch.cuda.get_device_capability(device) >= AMPERE
    else:
        has = device.type == "cpu" and processor_has_bf16()
    return "bf16" if has else "fp32"


def sampling_precision(device: torch.device, trained: str) -> str:
    """The precision to sample in with a network that was trained in another, maybe on another device.

    Half precision where the device has arithmetic for it; a network of fp32 or tf32 stays so.
    """
    portable = trained == "bf16" or (trained == "fp16" and device.type == "cpu")
    return precision_on(device, "auto" if portable else trained)


@cache
def processor_has_bf16() -> bool:
    """Whether the processor has arithmetic for bf16: AVX-512 BF16 or AMX, or that of ARM."""
    flags: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    found = {name for name, has in flags.items() if has}
    if CPU_FLAGS.is_file():
        found.update(CPU_FLAGS.read_text(errors="replace").split())
    return not found.isdisjoint(("avx512_bf16", "amx_bf16", "bf16"))


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Mixed precision for networks; `fp32` and `tf32` switch it off.

    Raises:
        UserError: fp16 on a processor, whose half-precision convolutions are slower than fp32; half precision
            on an Apple GPU with a version of PyTorch that has none there.
    """
    precision = precision_on(device, precision)
    if precision == "fp16" and device.type == "cpu":
        raise UserError("precision: fp16 needs a GPU; on this processor use bf16 or fp32")
    dtype = torch.float16 if precision == "fp16" else torch.bfloat16
    try:
        return torch.autocast(device.type, dtype, enabled=precision in ("bf16", "fp16"))
    except RuntimeError as error:
        raise UserError(f"precision: {precision} on {device.type} needs a newer PyTorch; use fp32") from error


def full_precision(device: torch.device) -> torch.autocast:
    """No mixed precision, even inside an `autocast` block."""
    return torch.autocast(device.type, enabled=False)


def to_device_of(like: Tensor, values: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """Values of the processor on the device of `like`, in its dtype or another, without waiting for a GPU."""
    values = values.to(dtype or like.dtype)
    if like.device.type == "cuda" and values.device.type == "cpu":
        values = values.pin_memory()
    return values.to(like.device, non_blocking=True)


def synchronize(device: torch.device) -> None:
    """Wait until a GPU has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def clear_casts() -> None:
    """Clear casts of the weights that were cached without gradients inside an autocast block.

    Older versions of PyTorch would use them again with gradients, which then do not reach the weights.
    """
    torch.clear_autocast_cache()
