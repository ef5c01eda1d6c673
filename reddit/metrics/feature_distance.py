"""The distance of LPIPS between the features of one layer."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

EPSILON = 1e-10
"""Keeps the gradient of features that are all zero finite."""


def feature_distance(x: Tensor, y: Tensor, head: Tensor) -> Tensor:
    """The squared difference of features normalised over channels, weighted, mean over positions.

    Args:
        x, y: (B, C, H, W), of any floating-point type.
        head: the weights of the channels, (1, C, 1, 1); their type is that of the computation.

    Returns:
        (B,), differentiable in x and y.
    """
    if x.is_cuda and not torch.compiler.is_compiling():
        return FusedDistance.apply(x, y, head)  # type: ignore[no-untyped-call, no-any-return]
    difference = (_normalise(x, head.dtype) - _normalise(y, head.dtype)).square()
    return (difference * head).sum(dim=1).mean(dim=(1, 2))


def _normalise(features: Tensor, dtype: torch.dtype) -> Tensor:
    features = features.to(dtype)
    return features * torch.rsqrt(features.square().sum(dim=1, keepdim=True) + 1e-20)


class FusedDistance(torch.autograd.Function):
    """The same with its gradient written out, in a third of the launches."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, head: Tensor) -> Tensor:
        x_norm, y_norm = (
            torch.linalg.vector_norm(f, dim=1, keepdim=True, dtype=head.dtype) + EPSILON for f in (x, y)
        )
        x_unit, y_unit = x / x_norm, y / y_norm
        difference = x_unit - y_unit
        weighted = difference * head
        ctx.positions, ctx.dtypes = x[0, 0].numel(), (x.dtype, y.dtype)
        ctx.save_for_backward(weighted, *((x_unit, x_norm) if ctx.needs_input_grad[0] else ()))
        ctx.other = (y_unit, y_norm) if ctx.needs_input_grad[1] else None
        return (weighted * difference).sum(dim=(1, 2, 3)) / ctx.positions

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        weighted, *own = ctx.saved_tensors
        towards = weighted * (gradient.view(-1, 1, 1, 1) * (2 / ctx.positions))
        along_x = _through_unit(towards, own[0], own[1]).to(ctx.dtypes[0]) if own else None
        along_y = _through_unit(-towards, *ctx.other).to(ctx.dtypes[1]) if ctx.other else None
        return along_x, along_y, None


def _through_unit(gradient: Tensor, unit: Tensor, norm: Tensor) -> Tensor:
    """The gradient of features from that of `unit = features / norm`."""
    along = (gradient * unit).sum(dim=1, keepdim=True)
    return torch.addcmul(gradient, unit, along, value=-1) / norm
