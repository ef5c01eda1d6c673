"""Counting what a GPU would be asked to do, without one.

Inside `counting`, tensors on `cuda` have a shape, a type, a memory order and no data, and those on the
processor are real. PyTorch need not find a GPU, nor be built for one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch._subclasses.fake_tensor import FakeTensorMode, unset_fake_temporarily
from torch.overrides import TorchFunctionMode

from reddit.training.device_mode import Call, DeviceMode, as_on_device, launches


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


class GPUCounter(DeviceMode):  # type: ignore[no-untyped-call]
    """Counts operations on `cuda` in `counts`; see `counting`."""

    def __init__(self) -> None:
        super().__init__()
        self.counts = Counts()

    def restart(self) -> None:
        """New counts; live tensors still count."""
        self.counts = Counts(peak=self.memory.live)

    def host_result(self, call: Call) -> Any:
        if call.name in ("is_pinned", "pin_memory", "_pin_memory"):  # there is nothing to pin it with
            return False if call.name == "is_pinned" else call.args[0]
        with unset_fake_temporarily():
            return call.run()

    def device_result(self, call: Call) -> Any:
        out = as_on_device(call, call.run())
        self.counts.peak = max(self.counts.peak, self.memory.keep(out))
        if launches(call, out):
            self.counts.work.append(call.work(out))
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
