"""Normalisation in half precision on a GPU.

Autocast computes them in single precision, with a cast before and one after: twice the traffic and launches.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reddit.utils.device import full_precision

HALF = (torch.bfloat16, torch.float16)


def group_norm(x: Tensor, norm: nn.GroupNorm, silu: bool = True) -> Tensor:
    """`F.silu(norm(x))`, or `norm(x)`: (B, C, H, W) → the same.

    On a GPU, half precision stays half, with sums in single precision. Elsewhere, and in a compiled network,
    PyTorch chooses.
    """
    if not x.is_cuda or x.dtype not in HALF or torch.compiler.is_compiling():
        y = norm(x)
        return F.silu(y) if silu else y
    y = half_norm(x, norm)
    return half_silu(y, like=x) if silu else y


def layer_norm(x: Tensor, norm: nn.LayerNorm) -> Tensor:
    """`norm(x)` over the last axis, in the same way."""
    if not x.is_cuda or x.dtype not in HALF or torch.compiler.is_compiling():
        return F.layer_norm(x, norm.normalized_shape, norm.weight, norm.bias, norm.eps)
    return half_layer_norm(x, norm)


def half_layer_norm(x: Tensor, norm: nn.LayerNorm) -> Tensor:
    """`norm(x)` in the precision of `x`."""
    weight, bias = norm.weight.to(x.dtype), norm.bias.to(x.dtype)
    with full_precision(x.device):
        return F.layer_norm(x, norm.normalized_shape, weight, bias, norm.eps)


def half_norm(x: Tensor, norm: nn.GroupNorm) -> Tensor:
    """`norm(x)` in the precision of `x`. On CUDA the result is contiguous, whatever the order of `x`."""
    weight, bias = norm.weight.to(x.dtype), norm.bias.to(x.dtype)
    with full_precision(x.device):
        return F.group_norm(x, norm.num_groups, weight, bias, norm.eps)


def half_silu(y: Tensor, like: Tensor) -> Tensor:
    """`F.silu(y)`; without gradients in the memory order of `like`, which saves a convolution a copy."""
    if torch.is_grad_enabled():
        return F.silu(y)
    return torch.ops.aten.silu.out(y, out=torch.empty_like(like))  # type: ignore[no-any-return]
