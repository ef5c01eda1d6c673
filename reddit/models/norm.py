"""Normalisation: in half precision on a GPU, and with a faster gradient on a processor.

Autocast computes them in single precision on a GPU, with a cast before and one after: twice the traffic and
launches. On a processor, PyTorch's gradient of GroupNorm is slow in channels_last.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from reddit.utils.device import full_precision

HALF = (torch.bfloat16, torch.float16)
SMALL = 256
"""Positions of a feature map below which PyTorch's gradient of GroupNorm is as fast."""


def group_norm(x: Tensor, norm: nn.GroupNorm, silu: bool = True) -> Tensor:
    """`F.silu(norm(x))`, or `norm(x)`: (B, C, H, W) → the same.

    On a GPU, half precision stays half, with sums in single precision. On a processor, what is trained in
    channels_last takes `ChannelsLastGroupNorm`. Elsewhere, and in a compiled network, PyTorch chooses.
    """
    if torch.compiler.is_compiling():
        y = norm(x)
    elif x.is_cuda and x.dtype in HALF:
        y = half_norm(x, norm)
        return half_silu(y, like=x) if silu else y
    elif _trained_in_channels_last(x, norm):
        y = ChannelsLastGroupNorm.apply(x, norm.weight, norm.bias, norm.num_groups, norm.eps)
    else:
        y = norm(x)
    return F.silu(y) if silu else y


def _trained_in_channels_last(x: Tensor, norm: nn.GroupNorm) -> bool:
    """Whether there will be a gradient that `ChannelsLastGroupNorm` computes faster."""
    if x.device.type != "cpu" or not (torch.is_grad_enabled() and x.requires_grad):
        return False
    if x.shape[2] * x.shape[3] < SMALL or norm.weight.dtype not in (x.dtype, torch.float32):
        return False
    return x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


class ChannelsLastGroupNorm(torch.autograd.Function):
    """GroupNorm with a gradient made of BatchNorm's operations, which are fast in channels_last.

    With x^ = (x - mean) / std, the gradient g of the result, and means over a group's channels and positions,

        dx = (g w - x^ mean(g w x^) - mean(g w)) / std.

    The first term, and the sums over positions in the means, are the gradients of a BatchNorm with fixed
    statistics: each sample is a batch, and each channel has the statistics of its group. The rest is such a
    BatchNorm of x.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float) -> Tensor:
        batch, channels, height, width = x.shape
        y, mean, rstd = torch.native_group_norm(x, weight, bias, batch, channels, height * width, groups, eps)
        ctx.save_for_backward(x, weight, mean, rstd)
        return y

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, rstd = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        size = weight.numel() // mean.shape[1]
        mean, rstd = (part.repeat_interleave(size, dim=1) for part in (mean, rstd))  # (B, C), as all below
        variance = rstd**-2
        firsts, by_weight, by_bias = [], torch.empty_like(mean), torch.empty_like(mean)
        samples = list(zip(torch.split(x, 1), torch.split(gradient, 1), mean, variance, strict=True))
        for i, (x_i, g_i, mean_i, variance_i) in enumerate(samples):
            first, by_weight[i], by_bias[i] = torch.ops.aten.native_batch_norm_backward(
                g_i, x_i, weight, mean_i, variance_i, None, None, False, 0.0, [True, True, True]
            )
            firsts.append(first)
        scale, shift = (
            (part * weight).unflatten(1, (-1, size)).mean(2).repeat_interleave(size, dim=1)
            * (-rstd / (x.shape[2] * x.shape[3]))
            for part in (by_weight, by_bias)
        )
        dx = torch.empty_like(x)
        for i, (x_i, _, mean_i, variance_i) in enumerate(samples):
            rest = F.batch_norm(x_i, mean_i, variance_i, scale[i], shift[i], eps=0.0)
            torch.add(firsts[i], rest, out=dx[i : i + 1])
        return dx, by_weight.sum(0), by_bias.sum(0), None, None


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
