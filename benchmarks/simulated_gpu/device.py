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
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from reddit.training.device_mode import (
    Call,
    DeviceMode,
    as_on_device,
    launches,
    on_device,
    reordered,
    tensors_in,
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


class SimulatedGPU(DeviceMode):
    """Operations on `cuda` run without data and are recorded in `record`."""

    def __init__(self) -> None:
        super().__init__()
        _start()
        self.fake = FakeTensorMode(allow_non_fake_inputs=True)
        self.record = Record()

    def restart(self) -> None:
        """A new record; live tensors still count."""
        self.record = Record(peak=self.memory.live)

    def host_result(self, call: Call) -> Any:
        return call.run()

    def device_result(self, call: Call) -> Any:
        name, inputs = call.name, call.inputs
        if name in SYNCHRONISE and inputs:
            self.record.syncs[f"{name} at {_line()}"] += 1
            if name == "_local_scalar_dense":
                return 1 if inputs[0].dtype == torch.bool else inputs[0].dtype.is_floating_point * 1.0
            if name == "nonzero":
                with self.fake:
                    return inputs[0].new_empty((1, inputs[0].ndim))
        if name in ("_to_copy", "copy_") and (back := self._copied(call)) is not None:
            return back
        host = [t for t in inputs if not on_device(t) and t.ndim > 0]
        if host and name not in ("_to_copy", "copy_"):
            self.record.mixed[f"{name} at {_line()}"] += 1
        with self.fake:
            out = as_on_device(call, call.run())
        self._note(call, out)
        return out

    def _copied(self, call: Call) -> Tensor | None:
        """Check a copy between host and device; the made-up result of one to the host."""
        name, args, kwargs, inputs = call.name, call.args, call.kwargs, call.inputs
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

    def _note(self, call: Call, out: Any) -> None:
        record, name, inputs, outputs = self.record, call.name, call.inputs, tensors_in(out)
        record.peak = max(record.peak, self.memory.keep(out))
        if not launches(call, out):
            return
        line, swaps = _line(), len(reordered(name, inputs))
        record.launches[name] += 1
        record.swaps += swaps
        record.kernels += swaps + _kernels(call)
        record.lines[line] += 1
        flops, traffic = call.work(out)
        record.flops += flops
        record.traffic += traffic
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


def _start() -> None:
    """Start the simulated CUDA; let `torch.tensor(…, device="cuda")` copy where it is seen."""
    torch._C._set_only_lift_cpu_tensors(True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a device that no kernel was built for
        torch.cuda.init()


def _kernels(call: Call) -> int:
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
        inside = "/reddit/" in path and "site-packages" not in path
        if inside and "/simulated_gpu/" not in path and not path.endswith("/device_mode.py"):
            return f"{path.rpartition('/reddit/')[2]}:{frame.f_lineno}"
        frame = frame.f_back  # type: ignore[assignment]
    return "backward"
