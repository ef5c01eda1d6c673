"""Timing the phases of a training step."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.profiler import record_function

from reddit.utils.device import synchronize


class Stopwatch:
    """Measures the seconds of each phase while active; nested phases are counted separately.

    On a GPU it synchronises at each phase, so the sum is longer than an unmeasured step.
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
        synchronize(self.device)
        return time.perf_counter()


@contextmanager
def phase(name: str) -> Iterator[None]:
    """Mark a named part of a step for the active `Stopwatch`, if any, and for PyTorch's profiler."""
    watch = Stopwatch.running
    with record_function(name):
        if watch is None:
            yield
        else:
            with watch.time(name):
                yield
