"""Where a training step spends its time."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.profiler import record_function


class Stopwatch:
    """Seconds by phase while it runs; a phase's inner phases are not counted as its own.

    On a GPU it waits for the work of each phase, so that the sum is longer than an unwatched step.
    """

    running: Stopwatch | None = None

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: dict[str, float] = defaultdict(float)
        self._inner = [0.0]

    def __enter__(self) -> Stopwatch:
        Stopwatch.running = self
        return self

    def __exit__(self, *_: object) -> None:
        Stopwatch.running = None

    @contextmanager
    def time(self, name: str) -> Iterator[None]:
        start = self._now()
        self._inner.append(0.0)
        try:
            yield
        finally:
            took = self._now() - start
            self.seconds[name] += took - self._inner.pop()
            self._inner[-1] += took

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


@contextmanager
def phase(name: str) -> Iterator[None]:
    """A named part of a step: seen by the running `Stopwatch`, if any, and by PyTorch's profiler."""
    watch = Stopwatch.running
    with record_function(name):
        if watch is None:
            yield
        else:
            with watch.time(name):
                yield
