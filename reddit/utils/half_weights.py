"""Half-precision copies of a network's weights, made together, and once where they are frozen.

Autocast casts each weight by an operation of its own, again at each call where the weights are frozen, and
its gradient back by another. On a GPU that is half of the launches of a training step.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.func import functional_call

CAST = (nn.Conv2d, nn.Linear)
"""The layers whose weights autocast casts."""


Result = TypeVar("Result")


class HalfWeights(Generic[Result]):
    """Calls a network with its weights in the precision of autocast; the numbers are those of autocast."""

    def __init__(self) -> None:
        self._key: object = None
        self._copies: dict[str, Tensor] = {}

    def __deepcopy__(self, memo: dict[int, object]) -> HalfWeights[Result]:
        return HalfWeights()  # of another network

    def call(self, network: nn.Module, *inputs: Any) -> Result:
        """`network(*inputs)`, whose first input is a tensor on the network's device."""
        device = inputs[0].device.type
        if torch.compiler.is_compiling() or is_compiled(network) or not torch.is_autocast_enabled(device):
            return network(*inputs)  # type: ignore[no-any-return]
        kinds = (*CAST, nn.GroupNorm, nn.LayerNorm) if device == "cuda" else CAST  # `reddit.models.norm`
        weights: dict[str, Tensor] = {
            f"{name}.{key}": weight
            for name, layer in network.named_modules()
            if isinstance(layer, kinds)
            for key, weight in layer.named_parameters(recurse=False)
        }
        self._update(weights, torch.get_autocast_dtype(device))
        copies = self._copies
        if torch.is_grad_enabled() and any(weight.requires_grad for weight in weights.values()):
            halves = _Tracked.apply(list(copies.values()), *weights.values())  # type: ignore[no-untyped-call]
            copies = dict(zip(copies, halves, strict=True))
        return functional_call(network, copies, inputs)  # type: ignore[no-any-return]

    def _update(self, weights: dict[str, Tensor], dtype: torch.dtype) -> None:
        """Cast the weights, unless they are frozen and those of the last call."""
        first = next(iter(weights.values()))
        key = dtype, first.device, [_version(weight) for weight in weights.values()], list(weights)
        frozen = not any(weight.requires_grad for weight in weights.values())
        if frozen and key == self._key:  # PyTorch's fused optimisers do not count their changes
            return
        with torch.inference_mode(False), torch.no_grad():
            copies = like_views(list(weights.values()), dtype)
            torch._foreach_copy_(copies, list(weights.values()))
        self._key, self._copies = key, dict(zip(weights, copies, strict=True))


class _Tracked(torch.autograd.Function):
    """The copies as functions of the weights; their gradients are cast back together."""

    @staticmethod
    def forward(ctx: Any, copies: list[Tensor], *weights: Tensor) -> tuple[Tensor, ...]:
        ctx.weights = weights
        return tuple(copy.view_as(copy) for copy in copies)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        known = [i for i, gradient in enumerate(gradients) if gradient is not None]
        found: list[Tensor | None] = [None] * len(gradients)
        cast = like_views([ctx.weights[i] for i in known], ctx.weights[0].dtype)
        torch._foreach_copy_(cast, [gradients[i] for i in known])  # type: ignore[misc]
        for i, gradient in zip(known, cast, strict=True):
            found[i] = gradient
        return None, *found


def like_views(tensors: list[Tensor], dtype: torch.dtype) -> list[Tensor]:
    """Uninitialised tensors of the same shapes and memory orders, which are parts of one."""
    sizes = [-(-tensor.numel() // 8) * 8 for tensor in tensors]  # each begins where kernels can read 16 bytes
    flat = torch.empty(sum(sizes), dtype=dtype, device=tensors[0].device)
    return [
        part.as_strided(tensor.shape, tensor.stride(), part.storage_offset())
        for tensor, part in zip(tensors, torch.split(flat, sizes), strict=True)
    ]


def is_compiled(module: nn.Module) -> bool:
    return module._compiled_call_impl is not None


def _version(weight: Tensor) -> tuple[int, int]:
    """Changes whenever the weight does; an inference tensor does not count its changes, and has none."""
    return id(weight), -1 if weight.is_inference() else weight._version
