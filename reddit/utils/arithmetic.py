"""How a GPU multiplies numbers of single precision, and how cuDNN chooses its algorithms."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def arithmetic(device: torch.device, precision: str, *, fixed_shapes: bool = False) -> Iterator[None]:
    """Until the end of the block, single precision is single on a GPU.

    NVIDIA's GPUs can round the factors of products to 10 bits (TF32), and PyTorch lets convolutions do so by
    default. Here only the precision `tf32` allows it. These are settings of the process; they are restored
    afterwards.

    Args:
        fixed_shapes: shapes repeat, so cuDNN tries its algorithms once and keeps the fastest.
    """
    if device.type != "cuda":
        yield
        return
    before, benchmark = _get(), torch.backends.cudnn.benchmark
    _set([_allowed(value, precision == "tf32") for value in before])
    torch.backends.cudnn.benchmark = fixed_shapes or benchmark
    try:
        yield
    finally:
        _set(before)
        torch.backends.cudnn.benchmark = benchmark


def tf32_allowed() -> bool:
    """Whether convolutions and matrix products may use TF32 now."""
    return any(value in (True, "tf32") for value in _get())


def _switches() -> list[tuple[Any, str]]:
    """The settings of convolutions and of matrix products; newer versions of PyTorch have strings."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    if hasattr(cudnn, "conv"):
        return [(cudnn.conv, "fp32_precision"), (matmul, "fp32_precision")]
    return [(cudnn, "allow_tf32"), (matmul, "allow_tf32")]


def _get() -> list[bool | str]:
    return [getattr(owner, name) for owner, name in _switches()]


def _set(values: list[bool | str]) -> None:
    for (owner, name), value in zip(_switches(), values, strict=True):
        setattr(owner, name, value)


def _allowed(like: bool | str, allowed: bool) -> bool | str:
    if isinstance(like, bool):
        return allowed
    return "tf32" if allowed else "ieee"
