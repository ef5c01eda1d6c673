"""Counting what a GPU would be asked to do, without one.

Inside `counting`, tensors on `cuda` have a shape, a type, a memory order and no data, and those on the
processor are real. PyTorch need not find a GPU, nor be built for one.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, unset_fake_temporarily
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

CREATE = {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "set_", "resize_"}
"""Operations that launch nothing."""
COMPOSED = torch._C.DispatchKey.CompositeImplicitAutograd


@dataclass
class Counts:
    """What a GPU was asked to do.

    Attributes:
        work: (FLOPs, bytes) of each launch. A launch is an operation that is no view. FLOPs are those of
            matrix products and convolutions. Bytes are those of the tensors that it reads and writes, and of
            the copies into another memory order that it makes first.
        peak: the largest sum of live tensors, in bytes.
    """

    work: list[tuple[int, int]] = field(default_factory=list)
    peak: int = 0

    @property
    def launches(self) -> int:
        return len(self.work)

    @property
    def flops(self) -> int:
        return sum(flops for flops, _ in self.work)

    @property
    def traffic(self) -> int:
        return sum(traffic for _, traffic in self.work)


@contextmanager
def counting() -> Iterator[GPUCounter]:
    """Operations on `cuda` run without data and are counted, until the end of the block."""
    # Inside a FakeTensorMode, PyTorch does not look for a GPU.
    with FakeTensorMode(allow_non_fake_inputs=True), _FusedAttention(), GPUCounter() as counter:
        yield counter


class GPUCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts operations on `cuda` in `counts`; see `counting`."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.counts = Counts()
        self._memory = LiveMemory()

    def restart(self) -> None:
        """New counts; live tensors still count."""
        self.counts = Counts(peak=self._memory.live)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is torch.ops.prim.device.default:
            return args[0].fake_device if isinstance(args[0], FakeTensor) else func(*args)
        kwargs = kwargs or {}
        leaves = tree_leaves((args, kwargs))
        name = func.overloadpacket.__name__
        if name in ("is_pinned", "pin_memory", "_pin_memory"):  # there is nothing to pin it with
            return False if name == "is_pinned" else args[0]
        if not any(map(on_device, leaves)):
            with unset_fake_temporarily():
                return func(*args, **kwargs)
        if composed(func):
            with self:
                return func._op_dk(COMPOSED, *args, **kwargs)
        out = as_on_device(name, func(*args, **kwargs))
        inputs, outputs = tensors_of(leaves), tensors_of(tree_leaves(out))
        for tensor in outputs:
            self._memory.keep(tensor)
        self.counts.peak = max(self.counts.peak, self._memory.live)
        if launches(func, inputs, outputs):
            traffic = sum(map(extent, [*inputs, *outputs]))
            traffic += sum(2 * extent(tensor) for tensor in reordered(name, inputs))
            count = flop_registry.get(func.overloadpacket)
            flops = 0 if count is None else count(*args, **kwargs, out_val=out)
            self.counts.work.append((flops, traffic))
        return out


class _FusedAttention(TorchFunctionMode):
    """Attention as on a GPU; without one, PyTorch would choose the plain products."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is F.scaled_dot_product_attention:
            fused = torch.ops.aten._scaled_dot_product_efficient_attention.default
            return fused(*args[:3], None, torch.is_grad_enabled())[0]
        return func(*args, **(kwargs or {}))


class LiveMemory:
    """The bytes of the tensors on the device that are alive, as its allocator rounds them."""

    def __init__(self) -> None:
        self.live = 0
        self._sizes: dict[int, int] = {}
        self._references: dict[int, weakref.ref[Any]] = {}

    def keep(self, tensor: Tensor) -> None:
        """Count a storage until it is freed."""
        if not on_device(tensor):
            return
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._sizes:
            return
        self._sizes[key] = size = -(-storage.nbytes() // 512) * 512
        self.live += size
        self._references[key] = weakref.ref(storage, lambda _: self._free(key))

    def _free(self, key: int) -> None:
        self.live -= self._sizes.pop(key, 0)
        self._references.pop(key, None)


@cache
def composed(func: Any) -> bool:
    """Whether an operation has no kernel of its own on CUDA; inference mode leaves it whole."""
    has_kernel = torch._C._dispatch_has_kernel_for_dispatch_key
    return has_kernel(func.name(), COMPOSED) and not has_kernel(func.name(), "CUDA")


def launches(func: Any, inputs: list[Tensor], outputs: list[Tensor]) -> bool:
    """Whether an operation runs something: it makes no view and does more than create."""
    own = {tensor.untyped_storage()._cdata for tensor in inputs}
    changes = func._schema.is_mutable or any(t.untyped_storage()._cdata not in own for t in outputs)
    return changes and func.overloadpacket.__name__ not in CREATE


def tensors_of(leaves: Iterable[object]) -> list[Tensor]:
    return [leaf for leaf in leaves if isinstance(leaf, Tensor)]


def on_device(leaf: object) -> bool:
    """Whether it is `cuda`, or a tensor there."""
    if isinstance(leaf, FakeTensor):
        return leaf.fake_device.type == "cuda"
    return isinstance(leaf, torch.device) and leaf.type == "cuda"


def extent(tensor: Tensor) -> int:
    """Bytes of memory behind a tensor; expanded axes count once."""
    sides = [size for size, stride in zip(tensor.shape, tensor.stride(), strict=True) if stride or size == 1]
    return math.prod(sides) * tensor.element_size()


def reordered(name: str, inputs: list[Tensor]) -> list[Tensor]:
    """Tensors that an operation copies into another memory order before it works on them.

    cuDNN's wrapper brings input, weight and gradient into one order, channels-last if input or weight has it.
    GroupNorm on CUDA knows only the contiguous order.
    """
    if name.startswith("convolution"):
        tensors = inputs[: 3 if name == "convolution_backward" else 2]
        if any(channels_last(t) for t in tensors[-2:]):
            return [t for t in tensors if not t.is_contiguous(memory_format=torch.channels_last)]
    if name.startswith("native_group_norm"):
        return [t for t in inputs[: 2 if name.endswith("backward") else 1] if not t.is_contiguous()]
    return []


def as_on_device(name: str, out: Any) -> Any:
    """The result of an operation in the memory order that CUDA gives it."""
    if name == "native_group_norm_backward" and out[0] is not None:
        return (torch.empty_like(out[0], memory_format=torch.contiguous_format), *out[1:])
    return out


def channels_last(tensor: Tensor) -> bool:
    return tensor.is_contiguous(memory_format=torch.channels_last) and not tensor.is_contiguous()
