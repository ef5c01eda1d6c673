"""The learning-rate schedule, a pure function of the iteration."""

from __future__ import annotations

import math

from reddit.config import TrainConfig


def learning_rate(settings: TrainConfig, iteration: int) -> float:
    """The learning rate of an iteration (from 0): linear warm-up, constant, then decay to `lr_end`.

    The decay starts after the share `decay_from` of the iterations, and is linear or half a cosine.
    """
    rate = settings.lr * min(1.0, (iteration + 1) / max(1, settings.warmup))
    start = settings.decay_from * settings.iterations
    if iteration <= start:
        return rate
    left = max(0.0, (settings.iterations - iteration) / (settings.iterations - start))
    if settings.decay == "cosine":
        left = (1 - math.cos(math.pi * left)) / 2
    return settings.lr_end + (rate - settings.lr_end) * left
