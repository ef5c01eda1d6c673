"""Loading batches of crops, with worker processes where they help."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

import torch
from torch.utils.data import DataLoader, Sampler, default_collate

from reddit.config import DataConfig
from reddit.data.crops import Batch
from reddit.utils.errors import UserError

T = TypeVar("T")


class Crops(Protocol):
    """The interface of a set of crops for the training loader."""

    config: DataConfig

    @property
    def in_memory(self) -> bool:
        """Whether crops are made without reading files."""
        ...

    def order(self, seed: int, batch_size: int, batch_indices: range, done: int) -> Sampler[Any]:
        """An endless sequence of keys from iteration `done` on; see `EndlessOrder`."""
        ...

    def __getitem__(self, key: Any) -> Batch | UserError: ...


def training_loader(
    crops: Crops,
    batch_size: int,
    seed: int,
    done: int = 0,
    *,
    batch_indices: range | None = None,
    grad_accum_steps: int = 1,
    pin_memory: bool = False,
) -> DataLoader[Batch | UserError]:
    """Batches from iteration `done` on, the same as in an uninterrupted run.

    Args:
        batch_size: samples per iteration, over all processes.
        batch_indices: this process's share of them; default all.
        grad_accum_steps: micro-batches per iteration.
        pin_memory: use pinned memory, for asynchronous copies to a GPU.
    """
    batch_indices = batch_indices if batch_indices is not None else range(batch_size)
    workers = _workers(crops)
    return DataLoader(
        crops,  # type: ignore[arg-type]
        batch_size=len(batch_indices) // grad_accum_steps,
        sampler=crops.order(seed, batch_size, batch_indices, done),
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=pin_memory,
        collate_fn=_collate,
        worker_init_fn=_ignore_stops,
    )


def _ignore_stops(worker: int) -> None:
    """Workers ignore SIGTERM and Ctrl-C, so that the main process can still write a checkpoint."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def working(loader: Iterable[T]) -> Iterator[Iterator[T]]:
    """Iterate over the batches of a loader; its workers end with the block.

    A lost worker can raise an error anywhere in the block, not only while waiting for a batch.

    Raises:
        UserError: a worker process was lost, for example because memory is full.
    """
    batches = _batches(loader)
    del loader  # otherwise a traceback would keep this frame, and with it the workers
    try:
        yield batches
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        reason = str(error).splitlines()[0].rstrip(" .")
        raise UserError(
            f"a worker process that prepares batches was lost ({reason}): if memory was full, lower "
            "data.workers or data.memory_gb; run the same command again to resume from the last checkpoint"
        ) from error
    finally:
        batches.close()


def _batches(loader: Iterable[T]) -> Generator[T, None, None]:
    yield from loader


def _workers(crops: Crops) -> int:
    """Number of worker processes; `auto` uses none if pictures are in memory and there is no GPU."""
    if crops.config.workers != "auto":
        return crops.config.workers
    if crops.in_memory and not torch.cuda.is_available():
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(4, max(1, cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1")) - 1))


def _collate(items: list[Batch | UserError]) -> Batch | UserError:
    for item in items:
        if isinstance(item, UserError):
            return item
    return default_collate(items)  # type: ignore[no-any-return]
