"""Faults that the simulation must find, each in a step of its own, then all cases: prints the records."""

from __future__ import annotations

import sys
from collections.abc import Callable

import torch
from simulated_gpu import cases
from simulated_gpu.device import DEVICE
from simulated_gpu.run import print_records


def on_device() -> torch.Tensor:
    return torch.zeros(4, 4, device=DEVICE)


def half_norm() -> object:
    half = torch.zeros(1, 4, 2, 2, device=DEVICE, dtype=torch.bfloat16)
    weight = torch.zeros(4, device=DEVICE)
    return torch.native_group_norm(half, weight, weight, 1, 4, 4, 2, 1e-5)


FAULTS: dict[str, Callable[[], object]] = {
    "reading a number": lambda: on_device().sum().item(),
    "deciding by a number": lambda: bool(on_device().isfinite().all()),
    "looking for indices": lambda: on_device().nonzero(),
    "a copy from pageable memory": lambda: torch.zeros(4).to(DEVICE, non_blocking=True),
    "a copy that waits": lambda: torch.zeros(4).pin_memory().to(DEVICE),
    "a tensor of numbers": lambda: torch.tensor([1.0, 2.0], device=DEVICE),
    "a copy back": lambda: on_device().cpu(),
    "two devices": lambda: on_device() + torch.zeros(4, 4),
    "two types": half_norm,
    "double precision": lambda: on_device().double(),
    "nothing": lambda: on_device() + 1,
    "a copy that does not wait": lambda: torch.zeros(4).pin_memory().to(DEVICE, non_blocking=True),
}


if __name__ == "__main__":
    print_records(
        {name: lambda fault=fault: fault for name, fault in FAULTS.items()}
        | {name: lambda name=name: cases.make(name, DEVICE) for name in sys.argv[1:]}
    )
