"""Signs of life between the processes of a run: if one is stopped or its machine is lost, the others end.

A process that dies closes its connections, which the others notice at once. One that hangs does not: the
others would wait in their next exchange.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Protocol

import torch.distributed as dist

from reddit.training.distributed import World

INTERVAL = 5.0
"""Most seconds between two signs of life."""
_RUNS = itertools.count()  # a process may train several, one after the other, as all do


class Store(Protocol):
    """PyTorch's store, which the processes share."""

    def add(self, key: str, amount: int) -> int:
        """Add to a number, 0 at first, and return it."""
        ...


@contextmanager
def heartbeat(world: World, lost_after: float) -> Iterator[None]:
    """Give signs of life inside the block, and end this process if another one gives none.

    Args:
        world: the processes of the run; alone, nothing is done.
        lost_after: seconds without a sign of life after which a process counts as lost; 0: for ever.
    """
    if world.size == 1 or lost_after == 0:
        yield
        return
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    client = dist.TCPStore(address, port, is_master=False)  # type: ignore[attr-defined]
    store = dist.PrefixStore(f"reddit/heartbeat/{next(_RUNS)}", client)  # type: ignore[attr-defined]
    with beating(store, world, lost_after, partial(_end, world.remedy)):
        yield


@contextmanager
def beating(
    store: Store, world: World, lost_after: float, lost: Callable[[int, float], object]
) -> Iterator[None]:
    """Count up in a store inside the block, and call `lost` once if another process's count stands still.

    Args:
        store: shared by the processes.
        lost: receives the rank and the seconds without a sign of life.
    """
    ended = threading.Event()
    thread = threading.Thread(target=_watch, args=(store, world, lost_after, lost, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(timeout=INTERVAL)


def _watch(
    store: Store,
    world: World,
    lost_after: float,
    lost: Callable[[int, float], object],
    ended: threading.Event,
) -> None:
    interval = min(INTERVAL, lost_after / 4)
    others = [rank for rank in range(world.size) if rank != world.rank]
    counts, turn = dict.fromkeys(others, 0), time.monotonic()
    since = dict.fromkeys(others, turn)
    # Where the store is gone, torchrun has ended or will end this process.
    with contextlib.suppress(RuntimeError):
        while not ended.wait(interval):
            store.add(str(world.rank), 1)
            now = time.monotonic()
            suspended = now - turn > 2 * interval  # this process itself was: the others may have been, too
            turn = now
            for rank in others:
                count = store.add(str(rank), 0)
                if count != counts[rank] or suspended or count < 0:
                    counts[rank], since[rank] = count, now
                elif now - since[rank] > lost_after:
                    lost(rank, now - since[rank])
                    return
        store.add(str(world.rank), -(2**40))  # ended, not lost


def _end(remedy: str, rank: int, seconds: float) -> None:
    """Print one line and end this process, whose main thread may wait for the lost one."""
    own = os.environ.get("RANK")
    line = (
        f"error: process {own}: process {rank} has shown no sign of life for {seconds:.0f} s: it is stopped, "
        f"or its machine is lost; {remedy}; train.lost_after sets the limit\n"
    )
    with contextlib.suppress(OSError):
        os.write(2, line.encode())
    os._exit(2)
