"""A training step on a GPU that need not exist, whose operations are counted."""

from __future__ import annotations

import heapq
import itertools
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from reddit.checkpoint.build import build_denoiser
from reddit.config import Config, TrainConfig
from reddit.data import Batch
from reddit.image.arrays import THUMBNAIL
from reddit.methods import Method, StepRNG
from reddit.training.build import build_distillation, build_teacher, student_config
from reddit.training.counting import Counts, counting
from reddit.training.device_mode import fake_parameters
from reddit.training.state import TrainingState

DEVICE = torch.device("cuda", 0)
TYPES = {"auto": torch.bfloat16, "bf16": torch.bfloat16, "fp16": torch.float16}


def count_step(config: Config, steps: int | None = None, teacher_steps: int | None = None) -> Counts:
    """Count one training step of one GPU with the whole batch: forward, backward, optimizer, average.

    Not counted: copies of the batch to the device, fp16's scaler, and what the libraries of a GPU need for
    themselves. Networks count as uncompiled. Random choices are those of the first iteration.

    Args:
        steps: of the student; None: the step is one of the teacher's training.
        teacher_steps: of its teacher.
    """
    kinds = [config] if steps is None else [student_config(config), config]
    denoisers = list(map(build_denoiser, kinds))
    with counting() as gpu, fake_parameters():
        student = denoisers[0].to(DEVICE)
        if steps is None or teacher_steps is None:
            method: Method = build_teacher(config, student, trained=False)
        else:
            teacher = denoisers[1].to(DEVICE)
            method = build_distillation(
                config,
                student,
                teacher,
                steps=steps,
                teacher_steps=teacher_steps,
                device=DEVICE,
                trained=False,
            )
        state = TrainingState(student, config.train, "fp32")  # PyTorch's scaler asks for a real GPU
        for parameter in student.parameters():  # the moments, which only the first step makes
            parameter.grad = torch.zeros_like(parameter)
        state.optimizer.step()
        batch = _batch(config)
        gpu.restart()
        _step(method, batch, state, config)
    return gpu.counts


def _step(method: Method, batch: Batch, state: TrainingState, config: Config) -> None:
    """As `reddit.training.step`, with the same micro-batch again and again."""
    settings: TrainConfig = config.train
    state.optimizer.zero_grad(set_to_none=True)
    for _ in range(settings.grad_accum_steps):
        rng = _RNG(config.seed, 0, range(len(batch["low"])), DEVICE)
        with _autocast(config.precision):
            loss = method.losses(batch, rng)["loss"]
        backward(loss)
    torch.nn.utils.clip_grad_norm_(method.denoiser.parameters(), settings.gradient_clip)
    state.optimizer.step()
    state.average.update(method.denoiser, 0)


def _batch(config: Config) -> Batch:
    count = max(1, config.train.batch_size // config.train.grad_accum_steps)
    crop = config.data.crop
    sides = {"low": crop, "high": crop, "denoised": crop, "context": THUMBNAIL}
    return {  # type: ignore[return-value]
        name: torch.empty(count, 3, side, side, device=DEVICE).to(memory_format=torch.channels_last)
        for name, side in sides.items()
    }


class _RNG(StepRNG):
    def _generator(self, rng: object) -> Any:
        """None: a generator on the device asks for a real one."""
        return None


@torch.no_grad()
def backward(loss: Tensor) -> None:
    """`loss.backward()` without PyTorch's engine, which asks for a real GPU.

    Nodes are called in the engine's order, the latest first, and freed afterwards with what they have saved.
    """
    root: Any = loss.grad_fn
    waiting = _edges(root)
    found: defaultdict[Any, dict[int, Tensor]] = defaultdict(dict)
    found[root][0] = torch.ones_like(loss)
    order = itertools.count()
    ready = [(0, next(order), root)]
    del root, loss
    while ready:
        node = heapq.heappop(ready)[2]
        for child in _passed_on(node, _called(node, found.pop(node)), found):
            waiting[child] -= 1
            if waiting[child] == 0:
                del waiting[child]
                if child in found:
                    heapq.heappush(ready, (-child._sequence_nr(), next(order), child))


def _passed_on(
    node: Any, gradients: tuple[Tensor | None, ...], found: dict[Any, dict[int, Tensor]]
) -> list[Any]:
    """Add the gradients of a node's inputs to those found for the nodes before it; returns these nodes."""
    for (child, slot), gradient in zip(node.next_functions, gradients, strict=True):
        if child is not None and gradient is not None:
            known, added = found[child], _like(gradient, child, slot)
            known[slot] = known[slot] + added if slot in known else added
    return [child for child, _ in node.next_functions if child is not None]


def _edges(root: Any) -> dict[Any, int]:
    """How many gradients each node of a graph receives."""
    count: defaultdict[Any, int] = defaultdict(int)
    stack = [root]
    while stack:
        for child, _ in stack.pop().next_functions:
            if child is not None:
                if child not in count:
                    stack.append(child)
                count[child] += 1
    return count


def _called(node: Any, given: dict[int, Tensor]) -> tuple[Tensor | None, ...]:
    """The gradients of a node's inputs from those of its outputs; a leaf keeps its own."""
    if hasattr(node, "variable"):
        leaf = node.variable
        leaf.grad = given[0] if leaf.grad is None else leaf.grad + given[0]
        return ()
    gradients = [given.get(slot) for slot in range(len(node._input_metadata))]
    # `apply`: an `autograd.Function`, whose first inputs may be no tensors and then have no edge.
    out = node.apply(*gradients) if hasattr(node, "apply") else node(*gradients)
    out = out if isinstance(out, tuple) else (out,)
    return out[len(out) - len(node.next_functions) :]


def _like(gradient: Tensor, node: Any, slot: int) -> Tensor:
    """The gradient in the shape and type that a node expects."""
    wanted = node.variable if hasattr(node, "variable") else node._input_metadata[slot]
    return gradient.sum_to_size(tuple(wanted.shape)).to(wanted.dtype)


@contextmanager
def _autocast(precision: str) -> Iterator[None]:
    """As `reddit.utils.device.autocast`; `torch.autocast` does nothing where there is no GPU."""
    before = torch.is_autocast_enabled("cuda"), torch.get_autocast_dtype("cuda")
    torch.set_autocast_enabled("cuda", precision in TYPES)
    torch.set_autocast_dtype("cuda", TYPES.get(precision, before[1]))
    try:
        yield
    finally:
        torch.set_autocast_enabled("cuda", before[0])
        torch.set_autocast_dtype("cuda", before[1])
