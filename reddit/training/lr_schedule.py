"""Learning-rate schedules: pure functions of the step."""

from __future__ import annotations

import math

from reddit.config import TrainConfig


def learning_rate(settings: TrainConfig, iteration: int) -> float:
    """The rate of an iteration (from 0): a linear rise, constant, then a fall to `lr_end`.

    The fall runs from `decay_from` of the iterations to their end, as a line or as half a cosine.
    """
    rate = settings.lr * min(1.0, (iteration + 1) / max(1, settings.warmup))
    start = settings.decay_from * settings.iterations
    if iteration <= start:
        return rate
    left = max(0.0, (settings.iterations - iteration) / (settings.iterations - start))
    if settings.decay == "cosine":
        left = (1 - math.cos(math.pi * left)) / 2
    return settings.lr_end + (rate - settings.lr_end) * left
