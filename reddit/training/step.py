"""One optimizer step: forward and backward of the micro-batches, gradient clipping, update."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from reddit.data import Batch
from reddit.methods import Method, StepRNG
from reddit.training.distributed import World
from reddit.training.lr_schedule import learning_rate
from reddit.training.state import TrainingState
from reddit.utils.arithmetic import arithmetic
from reddit.utils.device import autocast
from reddit.utils.profiling import phase


def train_step(
    method: Method,
    micro_batches: Sequence[Batch],
    state: TrainingState,
    *,
    seed: int,
    batch_indices: range,
    world: World | None = None,
) -> dict[str, Tensor]:
    """One optimizer step over the micro-batches of all processes.

    Args:
        micro_batches: this process's micro-batches, of equal size, on the network's device.
        state: the state of `method.denoiser`; weights, optimizer and scaler change, progress and average do
        not.
        seed: seed of the run.
        batch_indices: indices of these samples in the whole batch.
        world: the processes of the run; default only this one.

    Returns:
        The losses, means over the whole batch, and the gradient's norm before clipping; detached.
    """
    with arithmetic(state.device, state.precision, fixed_shapes=True):
        return _train_step(method, micro_batches, state, seed, batch_indices, world)


def _train_step(
    method: Method,
    micro_batches: Sequence[Batch],
    state: TrainingState,
    seed: int,
    batch_indices: range,
    world: World | None,
) -> dict[str, Tensor]:
    settings, iteration = state.settings, state.progress.iteration
    size = len(batch_indices) // len(micro_batches)
    for group in state.optimizer.param_groups:
        group["lr"] = learning_rate(settings, iteration)
    method.denoiser.train()
    state.optimizer.zero_grad(set_to_none=True)
    means: dict[str, Tensor] = {}
    for number, batch in enumerate(micro_batches):
        rng = StepRNG(seed, iteration, batch_indices[number * size : (number + 1) * size], state.device)
        with phase("forward"), autocast(state.device, state.precision):
            losses = method.losses(batch, rng)
        with phase("backward"):
            torch.autograd.backward(state.scaler.scale(_share(losses["loss"], len(micro_batches))))
        shares = {name: _share(value.detach(), len(micro_batches)) for name, value in losses.items()}
        means = {name: means[name] + value for name, value in shares.items()} if number else shares
    with phase("optimizer"):
        if world is not None:
            world.mean_gradients(method.denoiser, list(means.values()))
        state.scaler.unscale_(state.optimizer)
        norm = torch.nn.utils.clip_grad_norm_(method.denoiser.parameters(), settings.gradient_clip)
        state.scaler.step(state.optimizer)
        state.scaler.update()
    return means | {"gradient_norm": norm.detach()}


def _share(value: Tensor, count: int) -> Tensor:
    return value if count == 1 else value / count


def to_device(batch: Batch, device: torch.device) -> Batch:
    """Move a batch to the device, in channels-last order."""
    return {  # type: ignore[return-value]
        name: image.to(device, memory_format=torch.channels_last, non_blocking=True)  # type: ignore[attr-defined]
        for name, image in batch.items()
    }
