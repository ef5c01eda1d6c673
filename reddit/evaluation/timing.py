"""How long a model takes for one picture."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch

from reddit.utils.device import synchronize


def seconds_a_call(
    work: Callable[[], object], device: torch.device, repeats: int = 5, warm_up: int = 1
) -> float:
    """The median time of one call, after warm-up, waiting for the device before and after."""
    times = []
    for turn in range(warm_up + repeats):
        synchronize(device)
        start = time.perf_counter()
        work()
        synchronize(device)
        if turn >= warm_up:
            times.append(time.perf_counter() - start)
    return statistics.median(times)
