"""Tensors on a simulated GPU, and a record of everything that would run there.

Inside a `SimulatedGPU`, tensors on `cuda` have a shape, a type, a memory order and no data. Those on the
processor are real. What a copy brings back from the device is made up: zeros.
"""

from __future__ import annotations

import sys
import warnings
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._foreach_utils import _foreach_supported_types
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from reddit.training.counting import (
    COMPOSED,
    LiveMemory,
    as_on_device,
    composed,
    extent,
    launches,
    on_device,
    reordered,
)
from reddit.utils.arithmetic import tf32_allowed

DEVICE = torch.device("cuda", 0)
PRODUCTS = {"convolution", "convolution_backward", "mm", "addmm", "bmm", "baddbmm"} | {
    f"_scaled_dot_product_{kind}_attention{end}"
    for kind in ("flash", "efficient", "cudnn")
    for end in ("", "_backward")
}
"""Matrix products and convolutions: what half precision is for."""
NORMS = {"native_group_norm", "native_group_norm_backward", "native_layer_norm", "native_layer_norm_backward"}
"""Operations that on CUDA take one type only."""
SYNCHRONISE = {"_local_scalar_dense", "nonzero", "masked_select", "equal", "_unique2", "unique_dim"}
"""Operations whose result the host must wait for."""
INSIDE = {"native_group_norm": 3, "native_group_norm_backward": 5, "native_layer_norm_backward": 3}
"""Kernels of an operation, where they are more than one."""
TENSORS_A_LAUNCH = {1: 110, 2: 64, 3: 48, 4: 36, 5: 30}
"""Of the operations on lists of tensors, by the number of lists."""


@dataclass
class Record:
    """What would have run on the GPU.

    Attributes:
        launches: operations by name, without views.
        kernels: the same with the kernels inside an operation.
        casts: launches that change a type.
        swaps: copies inside convolutions and norms, into another memory order.
        traffic: bytes read and written.
        flops: of matrix products and convolutions.
        peak: largest sum of live tensors, in bytes.
        syncs: lines that make the host wait for the device.
        mixed: lines that mix devices, or types where CUDA takes one.
        products: types of matrix products and convolutions, by line.
        doubles: lines that make tensors of type float64 on the device.
        lines: launches by line.
    """

    launches: Counter[str] = field(default_factory=Counter)
    kernels: int = 0
    casts: int = 0
    swaps: int = 0
    traffic: int = 0
    flops: int = 0
    peak: int = 0
    syncs: Counter[str] = field(default_factory=Counter)
    mixed: Counter[str] = field(default_factory=Counter)
    products: dict[str, set[str]] = field(default_factory=dict)
    doubles: Counter[str] = field(default_factory=Counter)
    lines: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class _Call:
    """An operation with its arguments, and the tensors among them."""

    func: Any
    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    inputs: list[Tensor]


class SimulatedGPU(TorchDispatchMode):
    """Operations on `cuda` run without data and are recorded in `record`."""

    def __init__(self) -> None:
        super().__init__()
        _prepare()
        self.fake = FakeTensorMode(allow_non_fake_inputs=True)
        self.record = Record()
        self._memory = LiveMemory()

    def restart(self) -> None:
        """A new record; live tensors still count."""
        self.record = Record(peak=self._memory.live)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is torch.ops.prim.device.default:
            return args[0].fake_device if isinstance(args[0], FakeTensor) else func(*args)
        kwargs = kwargs or {}
        leaves = tree_leaves((args, kwargs))
        if not any(on_device(leaf) for leaf in leaves):
            return func(*args, **kwargs)
        if composed(func):  # inference mode leaves composed operations whole
            with self:
                return func._op_dk(COMPOSED, *args, **kwargs)
        name = func.overloadpacket.__name__
        inputs = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        if name in SYNCHRONISE and inputs:
            self.record.syncs[f"{name} at {_line()}"] += 1
            if name == "_local_scalar_dense":
                return 1 if inputs[0].dtype == torch.bool else inputs[0].dtype.is_floating_point * 1.0
            if name == "nonzero":
                return self._run(torch.ops.aten.new_empty.default, (inputs[0], (1, inputs[0].ndim)))
        if name in ("_to_copy", "copy_") and (back := self._copied(name, args, kwargs, inputs)) is not None:
            return back
        host = [t for t in inputs if not on_device(t) and t.ndim > 0]
        if host and name not in ("_to_copy", "copy_"):
            self.record.mixed[f"{name} at {_line()}"] += 1
        with self.fake:
            out = as_on_device(name, func(*args, **kwargs))
        outputs = [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)]
        self._note(_Call(func, name, args, kwargs, inputs), outputs, out)
        return out

    def _run(self, func: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        with self.fake:
            return func(*args, **(kwargs or {}))

    def _copied(self, name: str, args: Any, kwargs: Any, inputs: list[Tensor]) -> Tensor | None:
        """Check a copy between host and device; the made-up result of one to the host."""
        if name == "_to_copy":
            source, device = inputs[0], kwargs.get("device") or inputs[0].device
            to_device, blocking = device.type == "cuda", not kwargs.get("non_blocking", False)
        else:
            source, to_device = inputs[1], on_device(inputs[0])
            blocking = not (kwargs.get("non_blocking", False) or (len(args) > 2 and args[2]))
        if on_device(source) == to_device or (name == "copy_" and source.ndim == 0 and to_device):
            return None
        way = "to the device" if to_device else "to the host"
        pinned = source.is_pinned() if to_device else name == "copy_" and inputs[0].is_pinned()
        if blocking:
            self.record.syncs[f"copy {way} at {_line()}"] += 1
        elif not pinned:
            self.record.syncs[f"copy {way} of pageable memory at {_line()}"] += 1
        if to_device:
            return None
        self.record.launches[name] += 1
        self.record.kernels += 1
        if name == "copy_":
            return inputs[0]
        return torch.zeros(source.shape, dtype=kwargs.get("dtype") or source.dtype)

    def _note(self, call: _Call, outputs: list[Tensor], out: Any) -> None:
        record, name, inputs = self.record, call.name, call.inputs
        for tensor in outputs:
            self._memory.keep(tensor)
        record.peak = max(record.peak, self._memory.live)
        if not launches(call.func, inputs, outputs):
            return
        line = _line()
        record.launches[name] += 1
        record.kernels += _kernels(call)
        record.lines[line] += 1
        record.traffic += sum(map(extent, inputs)) + sum(map(extent, outputs))
        for tensor in reordered(name, inputs):
            record.swaps += 1
            record.kernels += 1
            record.traffic += 2 * extent(tensor)
        if name in ("_to_copy", "copy_") and len({t.dtype for t in [*inputs, *outputs]}) > 1:
            record.casts += 1
        if name in PRODUCTS or name in NORMS:
            tensors = inputs[:4] if name.startswith("_scaled") else inputs  # without the statistics
            tensors = [*inputs[:2], *inputs[4:]] if name == "native_layer_norm_backward" else tensors
            kinds = {_kind(t) for t in tensors if t.dtype.is_floating_point and t.ndim > 0}
            if len(kinds) > 1:
                record.mixed[f"{name} of {' and '.join(sorted(kinds))} at {line}"] += 1
            elif name in PRODUCTS:
                kinds = {"tf32" if kind == "float32" and tf32_allowed() else kind for kind in kinds}
                record.products.setdefault(line, set()).update(kinds)
        if any(t.dtype == torch.float64 for t in outputs):
            record.doubles[f"{name} at {line}"] += 1
        if (count := flop_registry.get(call.func.overloadpacket)) is not None:
            record.flops += count(*call.args, **call.kwargs, out_val=out)


def _prepare() -> None:
    """Start the simulated CUDA; let `torch.tensor(…, device="cuda")` copy where it is seen, and fake
    parameters be copied."""
    torch._C._set_only_lift_cpu_tensors(True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a device that no kernel was built for
        torch.cuda.init()
    if FakeTensor not in _foreach_supported_types:  # else lists of tensors are worked off one by one
        _foreach_supported_types.append(FakeTensor)
    FakeTensor.__deepcopy__ = _deepcopy  # type: ignore[assignment,method-assign]


def _deepcopy(self: Tensor, memo: dict[int, Any]) -> Tensor:
    cloned = self.detach().clone(memory_format=torch.preserve_format)
    return nn.Parameter(cloned, self.requires_grad) if isinstance(self, nn.Parameter) else cloned


def _kernels(call: _Call) -> int:
    """Kernels of an operation."""
    if call.name.startswith(("_foreach", "_fused", "_amp_foreach")):
        lists = [arg for arg in call.args if isinstance(arg, (list, tuple)) and len(arg)]
        lists = [arg for arg in lists if isinstance(arg[0], Tensor)]
        return -(-len(lists[0]) // TENSORS_A_LAUNCH[min(5, len(lists))]) if lists else 1
    if call.name == "convolution":
        return 2 if len(call.inputs) > 2 else 1  # the bias is added by a kernel of its own
    if call.name == "convolution_backward":
        return sum(call.args[-1])
    return INSIDE.get(call.name, 1)


def _kind(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _line() -> str:
    """The line of the package that asked for an operation."""
    frame = sys._getframe(2)
    while frame is not None:
        path = frame.f_code.co_filename
        if "/reddit/" in path and "/simulated_gpu/" not in path and "site-packages" not in path:
            return f"{path.rpartition('/reddit/')[2]}:{frame.f_lineno}"
        frame = frame.f_back  # type: ignore[assignment]
    return "backward"
