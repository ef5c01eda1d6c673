"""Half-precision copies of a network's weights, made together, and once where they are frozen.

Autocast casts each weight by an operation of its own, again at each call where the weights are frozen, and
its gradient back by another. On a GPU that is half of the launches of a training step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

CAST = (nn.Conv2d, nn.Linear, nn.GroupNorm, nn.LayerNorm)
"""Layers whose weights are cast: autocast's, and the norms of `reddit.models.norm`."""
DEVICES = ("cuda",)
"""Where it is worth it. On a processor, autocast's casts cost less than looking after the copies."""

Result = TypeVar("Result")
Slot = tuple[dict[str, Any], str]
"""Where a layer keeps a weight: its parameters, and the name."""


class HalfWeights(Generic[Result]):
    """Calls a network with its weights in the precision of autocast; the numbers are those of autocast."""

    def __init__(self) -> None:
        self._network: nn.Module | None = None
        self._slots: list[Slot] = []
        self._key: object = None
        self._copies: list[Tensor] = []

    def __deepcopy__(self, memo: dict[int, object]) -> HalfWeights[Result]:
        return HalfWeights()  # of another network

    def call(self, network: nn.Module, *inputs: Any) -> Result:
        """`network(*inputs)`, whose first input is a tensor on the network's device."""
        device = inputs[0].device.type
        if torch.compiler.is_compiling() or is_compiled(network) or device not in DEVICES:
            return network(*inputs)  # type: ignore[no-any-return]
        if not torch.is_autocast_enabled(device):
            return network(*inputs)  # type: ignore[no-any-return]
        if network is not self._network:
            self._network, self._slots = network, _slots(network)
        weights = [store[name] for store, name in self._slots]
        copies = self._update(weights, torch.get_autocast_dtype(device))
        if torch.is_grad_enabled() and any(weight.requires_grad for weight in weights):
            copies = _Tracked.apply(copies, *weights)  # type: ignore[no-untyped-call]
        self._put(copies)
        try:
            return network(*inputs)  # type: ignore[no-any-return]
        finally:
            self._put(weights)

    def _put(self, weights: Sequence[Tensor]) -> None:
        """Give the layers these weights; much faster than `torch.func.functional_call`."""
        for (store, name), weight in zip(self._slots, weights, strict=True):
            store[name] = weight

    def _update(self, weights: list[Tensor], dtype: torch.dtype) -> list[Tensor]:
        """The weights in another type, cast anew unless they are frozen and those of the last call."""
        key = dtype, weights[0].device, [_version(weight) for weight in weights]
        frozen = not any(weight.requires_grad for weight in weights)
        if not (frozen and key == self._key):  # PyTorch's fused optimisers do not count their changes
            with torch.inference_mode(False), torch.no_grad():
                copies = like_views(weights, dtype)
                torch._foreach_copy_(copies, weights)
            self._key, self._copies = key, copies
        return self._copies


def _slots(network: nn.Module) -> list[Slot]:
    return [
        (layer._parameters, name)
        for layer in network.modules()
        if isinstance(layer, CAST)
        for name, weight in layer._parameters.items()
        if weight is not None
    ]


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
