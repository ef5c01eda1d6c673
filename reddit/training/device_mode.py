"""Seeing every operation that PyTorch would run on a GPU, with what it takes of work and memory."""

from __future__ import annotations

import math
import weakref
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils import _foreach_utils
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

CREATE = {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "set_", "resize_"}
"""Operations that launch nothing."""
COMPOSED = torch._C.DispatchKey.CompositeImplicitAutograd


@dataclass(frozen=True)
class Call:
    """An operation with its arguments, and the tensors among them."""

    func: Any
    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    inputs: list[Tensor]

    def run(self) -> Any:
        return self.func(*self.args, **self.kwargs)

    def work(self, out: Any) -> tuple[int, int]:
        """(FLOPs, bytes) as in `Counts`, if the call is a launch with the result `out`."""
        traffic = sum(map(extent, [*self.inputs, *tensors_in(out)]))
        traffic += sum(2 * extent(tensor) for tensor in reordered(self.name, self.inputs))
        count = flop_registry.get(self.func.overloadpacket)
        return (0 if count is None else count(*self.args, **self.kwargs, out_val=out)), traffic


class DeviceMode(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees every operation; a subclass says what happens on `cuda` and elsewhere."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.memory = LiveMemory()

    @abstractmethod
    def host_result(self, call: Call) -> Any:
        """The result of an operation without tensors on the device."""

    @abstractmethod
    def device_result(self, call: Call) -> Any:
        """The result of any other one."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is torch.ops.prim.device.default:
            return args[0].fake_device if isinstance(args[0], FakeTensor) else func(*args)
        kwargs = kwargs or {}
        call = Call(func, func.overloadpacket.__name__, args, kwargs, tensors_in((args, kwargs)))
        if not any(map(on_device, tree_leaves((args, kwargs)))):
            return self.host_result(call)
        if composed(func):
            with self:
                return func._op_dk(COMPOSED, *args, **kwargs)
        return self.device_result(call)


class LiveMemory:
    """The bytes of the tensors on the device that are alive, as its allocator rounds them."""

    def __init__(self) -> None:
        self.live = 0
        self._sizes: dict[int, int] = {}
        self._references: dict[int, weakref.ref[Any]] = {}

    def keep(self, out: Any) -> int:
        """Count the storages of a result until they are freed; returns the bytes that are alive."""
        for tensor in filter(on_device, tensors_in(out)):
            self._keep(tensor.untyped_storage())
        return self.live

    def _keep(self, storage: torch.UntypedStorage) -> None:
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


def launches(call: Call, out: Any) -> bool:
    """Whether an operation runs something: it makes no view and does more than create."""
    own = {tensor.untyped_storage()._cdata for tensor in call.inputs}
    outputs = tensors_in(out)
    changes = call.func._schema.is_mutable or any(t.untyped_storage()._cdata not in own for t in outputs)
    return changes and call.name not in CREATE


def tensors_in(tree: object) -> list[Tensor]:
    """The tensors in nested lists, tuples and dictionaries."""
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


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

    GroupNorm on CUDA knows only the contiguous order.
    """
    if _in_channels_last(name, inputs):
        tensors = inputs[: 3 if name == "convolution_backward" else 2]
        return [t for t in tensors if not t.is_contiguous(memory_format=torch.channels_last)]
    if name.startswith("native_group_norm"):
        return [t for t in inputs[: 2 if name.endswith("backward") else 1] if not t.is_contiguous()]
    return []


def as_on_device(call: Call, out: Any) -> Any:
    """The result of an operation in the memory order that CUDA gives it.

    Where PyTorch finds no GPU, it takes cuDNN to have no bf16, and makes such convolutions contiguous.
    """
    if call.name == "native_group_norm_backward" and out[0] is not None:
        return (torch.empty_like(out[0], memory_format=torch.contiguous_format), *out[1:])
    if not _in_channels_last(call.name, call.inputs):
        return out
    if call.name == "convolution":
        return out.contiguous(memory_format=torch.channels_last)
    gradients = [None if t is None else t.contiguous(memory_format=torch.channels_last) for t in out[:2]]
    return (*gradients, out[2])


def _in_channels_last(name: str, inputs: list[Tensor]) -> bool:
    """Whether cuDNN brings all tensors of an operation into channels-last.

    Its wrapper takes one order for a convolution: channels-last if input or weight has it.
    """
    if not name.startswith("convolution"):
        return False
    picture_and_weight = inputs[1:3] if name == "convolution_backward" else inputs[:2]
    return any(map(channels_last, picture_and_weight))


def channels_last(tensor: Tensor) -> bool:
    return tensor.is_contiguous(memory_format=torch.channels_last) and not tensor.is_contiguous()


@contextmanager
def fake_parameters() -> Iterator[None]:
    """Fake parameters can be copied, and lists of them take one launch, as real ones."""
    known, copied = _foreach_utils._foreach_supported_types, FakeTensor.__deepcopy__
    known.append(FakeTensor)
    FakeTensor.__deepcopy__ = _deepcopy  # type: ignore[method-assign]
    try:
        yield
    finally:
        known.remove(FakeTensor)
        FakeTensor.__deepcopy__ = copied  # type: ignore[method-assign]


def _deepcopy(self: Tensor, memo: dict[int, Any]) -> Tensor:
    cloned = self.detach().clone(memory_format=torch.preserve_format)
    return nn.Parameter(cloned, self.requires_grad) if isinstance(self, nn.Parameter) else cloned
