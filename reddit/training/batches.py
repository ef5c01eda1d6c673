"""Splitting a batch over processes and micro-batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Protocol

import torch

from reddit.config import TrainConfig
from reddit.data import Batch
from reddit.training.distributed import World
from reddit.training.step import to_device
from reddit.utils.errors import UserError


class Loader(Protocol):
    def __call__(
        self, done: int, *, batch_indices: range, grad_accum_steps: int
    ) -> Iterable[Batch | UserError]:
        """This process's micro-batches from iteration `done` on, endlessly; a failed batch is an error."""
        ...


def share_of_batch(settings: TrainConfig, world: World) -> range:
    """This process's indices in the whole batch.

    Raises:
        UserError: the batch cannot be split evenly between the processes and micro-batches.
    """
    shares = world.size * settings.grad_accum_steps
    share, rest = divmod(settings.batch_size, shares)
    if rest:
        raise UserError(
            f"train.batch_size: {settings.batch_size} must be divisible by {world.size} processes × "
            f"train.grad_accum_steps {settings.grad_accum_steps}; choose a multiple of {shares}"
        )
    share *= settings.grad_accum_steps
    return range(world.rank * share, (world.rank + 1) * share)


def fetch(batches: Iterator[Batch | UserError], count: int, device: torch.device) -> list[Batch]:
    """The next micro-batches, on the device.

    Raises:
        UserError: a picture cannot be read any more.
    """
    found = []
    for batch in islice(batches, count):
        if isinstance(batch, UserError):
            raise batch
        found.append(to_device(batch, device))
    return found
