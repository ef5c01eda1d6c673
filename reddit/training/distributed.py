"""Training with several processes, started by `torchrun` and detected automatically."""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from reddit.utils.device import choose_device
from reddit.utils.errors import UserError

T = TypeVar("T")
TIMEOUT = datetime.timedelta(minutes=30)
"""The longest time that a process waits for the others, for example while they read a data set."""
RESUME = "run the same command again to resume from the last checkpoint"


@dataclass(frozen=True)
class World:
    """The processes of a run: this is number `rank` of `size`. With one process, nothing is exchanged.

    Attributes:
        remedy: what a user can do if a process is lost, for messages.
    """

    rank: int = 0
    size: int = 1
    remedy: str = RESUME

    @property
    def main(self) -> bool:
        """Whether this is the process that writes files and prints."""
        return self.rank == 0

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """This process's share of the items."""
        return items[self.rank :: self.size]

    def wait(self) -> None:
        """Wait until every process has reached this point."""
        if self.size > 1:
            with self._lost_process():
                dist.barrier()

    def from_main(self, value: T) -> T:
        """The value of the main process, in every process."""
        if self.size == 1:
            return value
        box = [value]
        with self._lost_process():
            dist.broadcast_object_list(box, device=_device())
        return box[0]

    def gather(self, value: T) -> list[T]:
        """The values of all processes, by rank, in every process."""
        if self.size == 1:
            return [value]
        values: list[T | None] = [None] * self.size
        with self._lost_process():
            dist.all_gather_object(values, value)
        return values  # type: ignore[return-value]

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process. Exchanged on the CPU, so that a GPU is not interrupted."""
        if self.size == 1:
            return flag
        box = torch.tensor(int(flag))
        with self._lost_process():
            dist.all_reduce(box, dist.ReduceOp.MAX)
        return bool(box)

    def mean(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by its mean over the processes, in a single exchange."""
        tensors = list(tensors)
        if self.size == 1 or not tensors:
            return
        flat = torch.cat([tensor.detach().flatten().float() for tensor in tensors])
        with self._lost_process():
            dist.all_reduce(flat)
        flat /= self.size
        parts = torch.split(flat, [tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.detach().copy_(part.view_as(tensor))

    def mean_gradients(self, module: nn.Module, scalars: Sequence[Tensor] = ()) -> None:
        """Replace a module's gradients and these scalars by their means over the processes.

        One exchange of one flat tensor per step, so gradient accumulation needs no extra exchange and the
        network needs no wrapper.
        """
        self.mean([*(p.grad for p in module.parameters() if p.grad is not None), *scalars])

    @contextmanager
    def _lost_process(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            raise UserError(
                f"process {os.environ.get('RANK')}: another process of this run was lost "
                f"({_first_line(error)}); {self.remedy}"
            ) from error


def join(remedy: str = RESUME) -> World:
    """Join the processes started by `torchrun`; without it, a world of one process.

    Uses Gloo for CPUs and NCCL for GPUs; each process takes the GPU of its local rank.

    Args:
        remedy: what a user can do if a process is lost.

    Raises:
        UserError: the processes cannot connect; fewer GPUs than processes.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return World()
    if "RANK" not in os.environ:
        raise UserError(f"WORLD_SIZE is {size} but RANK is not set: start with torchrun, or unset WORLD_SIZE")
    rank, local = int(os.environ["RANK"]), int(os.environ.get("LOCAL_RANK", "0"))
    cuda = torch.cuda.is_available()
    choose_device("auto")  # raises if there are fewer GPUs than processes
    if not dist.is_initialized():
        if cuda:
            torch.cuda.set_device(local)
        try:
            dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo", timeout=TIMEOUT)
        except (RuntimeError, ValueError) as error:
            where = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
            raise UserError(
                f"the {size} processes cannot connect at {where}: {_first_line(error)}"
            ) from error
    return World(rank, size, remedy)


def leave() -> None:
    """Close the connections to the other processes, if any."""
    if dist.is_initialized():
        dist.destroy_process_group()


def _device() -> torch.device:
    return (
        torch.device("cuda", torch.cuda.current_device())
        if torch.cuda.is_available()
        else torch.device("cpu")
    )


def _first_line(error: Exception) -> str:
    """The first line of an error, without the source location that Gloo and NCCL put in front."""
    lines = str(error).splitlines()
    return re.sub(r"^\[[^]]*\] ", "", lines[0])[:120] if lines else type(error).__name__
