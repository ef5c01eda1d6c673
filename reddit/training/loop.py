"""The one training loop: fetch, step, report, validate, save; for every method, on one process or many."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from tqdm import tqdm

from reddit.checkpoint.format import CHOSEN, NEWEST, STATE
from reddit.config import TrainConfig
from reddit.data import Batch, working
from reddit.diffusion import Denoiser
from reddit.methods import Method, StepRNG
from reddit.training.distributed import World
from reddit.training.logging import Meter, Tracker
from reddit.training.lr_schedule import learning_rate
from reddit.training.state import Progress, TrainingState, keep_copy, kept_state
from reddit.training.stopping import StopRequest
from reddit.utils.device import autocast
from reddit.utils.errors import UserError
from reddit.utils.files import remove_leftovers
from reddit.utils.profiling import phase

FIRST_LOOK = 2
"""Pictures validated before the first step, so that what would fail after an hour fails now."""


class Validation(NamedTuple):
    """Scores by name (weights are chosen by `psnr`), and (low, ours, gt), each (3, H, W) in [0, 1]."""

    scores: dict[str, float]
    panel: tuple[Tensor, Tensor, Tensor]


class Validate(Protocol):
    def __call__(
        self, denoiser: Denoiser, limit: int | None = None, stop: StopRequest | None = None
    ) -> Validation | None:
        """Score the averaged denoiser, on `limit` pictures or all; None where it was asked to stop."""
        ...


Loader = Callable[[int, range, int], Iterable[Batch | UserError]]
"""(iterations done, this process's batch indices, micro-batches an iteration) → batches for ever."""
SaveWeights = Callable[[Path, Denoiser, int, dict[str, float]], None]
"""(path, averaged denoiser, iteration, validation scores) → a checkpoint on disk."""


def fit(
    method: Method,
    loader: Loader,
    settings: TrainConfig,
    folder: Path,
    *,
    seed: int,
    precision: str,
    save_weights: SaveWeights,
    validate: Validate | None = None,
    resume: Path | None = None,
    world: World | None = None,
    quiet: bool = False,
) -> Progress:
    """Train until `settings.iterations`, from the start or from a saved state.

    Every random draw depends on (seed, iteration, index in the batch) alone: on the same processor a resumed
    run gives the same weights, bit for bit, as one that was never interrupted; several processes, and a GPU
    whose kernels are not deterministic, the same but for the order of sums.

    Writes `checkpoints/{last,best}.safetensors` (averaged weights), `checkpoints/state.pt`, the copies
    that `keep_every` asks for, `log.jsonl` and `tb/` under `folder`; only the main process writes.

    Raises:
        UserError: a loss or gradient is no longer finite; the disk is full; the state to resume does not
            fit; a picture cannot be read any more; the batch cannot be parted; a process or a worker is lost.
        Stopped: SIGTERM or Ctrl-C came; a checkpoint was written.
    """
    world = world or World()
    batch_indices = _batch_indices(settings, world)
    checkpoints = folder / "checkpoints"
    best = checkpoints / CHOSEN
    state = TrainingState(method.denoiser, settings, precision)
    if resume is not None:
        state.load(resume)
    progress, average = state.progress, state.average.average
    if not best.exists():  # the state is another folder's, where its best weights stayed
        progress.best = -math.inf
    if settings.compile:
        method.denoiser.network.compile()
    if world.main:
        remove_leftovers(folder)
        remove_leftovers(checkpoints)
    tracker = Tracker(folder, progress.iteration) if world.main else None
    meter = Meter(state.device)

    def check() -> None:
        """Validate, and keep the weights if they are the best so far."""
        if validate is None or (result := validate(average, stop=stop)) is None:
            return
        progress.scores, progress.validated = result.scores, progress.iteration
        better = result.scores["psnr"] > progress.best
        if better:
            progress.best, progress.best_iteration = result.scores["psnr"], progress.iteration
        if tracker:
            tracker.scalars(progress.iteration, "validation", result.scores)
            tracker.panel(progress.iteration, *result.panel)
            if better:
                save_weights(best, average, progress.iteration, result.scores)

    def save() -> None:
        if not world.main:
            return
        save_weights(checkpoints / NEWEST, average, progress.iteration, progress.scores or {})
        state.save(checkpoints / STATE)
        if _keeping(progress, settings):
            keep_copy(checkpoints, progress.iteration, settings.keep)

    def take_up(source: Path) -> None:
        """Make up for what a run left out when it was stopped between a step and its checkpoint's end."""
        late = progress.validated < progress.iteration and _due(progress, settings.validate_every, settings)
        late = late and validate is not None
        if late:
            check()
        uncopied = _keeping(progress, settings) and not kept_state(checkpoints, progress.iteration).exists()
        if late or uncopied or source.resolve() != (checkpoints / STATE).resolve():
            save()

    with (
        tracker or nullcontext(),
        StopRequest(aloud=world.main).listening() as stop,
        working(loader(progress.iteration, batch_indices, settings.grad_accum_steps)) as batches,
        tqdm(
            total=settings.iterations,
            initial=progress.iteration,
            desc=folder.name,
            unit="it",
            disable=quiet or not world.main,
            smoothing=0.05,
        ) as bar,
    ):
        if validate is not None and progress.iteration == 0:
            validate(average, limit=FIRST_LOOK)
        elif resume is not None:
            take_up(resume)
        meter.reset()
        while progress.iteration < settings.iterations:
            if world.any(bool(stop)):
                _stop_if_broken(meter, state, settings, precision, checkpoints)
                save()
                raise stop.error(f"at iteration {progress.iteration} of {settings.iterations}")
            with meter.waiting(), phase("data"):
                micro_batches = [
                    to_device(_whole(b), state.device) for b in islice(batches, settings.grad_accum_steps)
                ]
            losses = step(method, micro_batches, state, settings, seed, precision, batch_indices, world)
            state.average.update(method.denoiser, progress.iteration)
            progress.iteration += 1
            meter.add(progress.iteration, losses)
            bar.update()

            reporting, validating, saving = (
                _due(progress, every, settings)
                for every in (settings.log_every, settings.validate_every, settings.checkpoint_every)
            )
            saving = saving or _keeping(progress, settings)
            if reporting or validating or saving:
                _stop_if_broken(meter, state, settings, precision, checkpoints)
            if reporting:
                progress.seconds += meter.seconds()
                report = meter.report(settings.batch_size, settings.iterations - progress.iteration)
                report["lr"] = learning_rate(settings, progress.iteration - 1)
                if tracker:
                    tracker.scalars(progress.iteration, "train", report)
                shown = f"{progress.best:.2f}" if progress.scores else "-"
                bar.set_postfix(loss=f"{report['loss']:.4f}", val=shown)
                meter.reset()
            with meter.paused():
                if validating:
                    check()
                if saving:
                    save()
        if world.any(bool(stop)):
            raise stop.error(f"at iteration {progress.iteration} of {settings.iterations}")
    if world.main and (validate is None or not best.exists()):  # nothing was chosen: the newest weights are
        save_weights(best, average, progress.iteration, progress.scores or {})
    world.wait()
    return progress


def step(
    method: Method,
    micro_batches: list[Batch],
    state: TrainingState,
    settings: TrainConfig,
    seed: int,
    precision: str,
    batch_indices: range,
    world: World | None = None,
) -> dict[str, Tensor]:
    """One optimizer step over this process's micro-batches and those of the other processes.

    Returns:
        The losses, means over the whole batch, and the gradient's norm before clipping; detached.
    """
    iteration, size = state.progress.iteration, len(batch_indices) // len(micro_batches)
    for group in state.optimizer.param_groups:
        group["lr"] = learning_rate(settings, iteration)
    method.denoiser.train()
    state.optimizer.zero_grad(set_to_none=True)
    means: dict[str, Tensor] = {}
    for number, batch in enumerate(micro_batches):
        rng = StepRNG(seed, iteration, batch_indices[number * size : (number + 1) * size], state.device)
        with phase("forward"), autocast(state.device, precision):
            losses = method.losses(batch, rng)
        with phase("backward"):
            torch.autograd.backward(state.scaler.scale(losses["loss"] / len(micro_batches)))
        for name, value in losses.items():
            before = means.get(name, torch.zeros_like(value))
            means[name] = before.detach() + value.detach() / len(micro_batches)
    with phase("optimizer"):
        if world is not None:
            world.mean_gradients(method.denoiser, list(means.values()))
        state.scaler.unscale_(state.optimizer)
        norm = torch.nn.utils.clip_grad_norm_(method.denoiser.parameters(), settings.gradient_clip)
        state.scaler.step(state.optimizer)
        state.scaler.update()
    return means | {"gradient_norm": norm.detach()}


def to_device(batch: Batch, device: torch.device) -> Batch:
    """Move a batch to where the network is, in channels-last order."""
    return {  # type: ignore[return-value]
        name: image.to(device, memory_format=torch.channels_last, non_blocking=True)  # type: ignore[attr-defined]
        for name, image in batch.items()
    }


def _batch_indices(settings: TrainConfig, world: World) -> range:
    """This process's batch indices."""
    shares = world.size * settings.grad_accum_steps
    share, rest = divmod(settings.batch_size, shares)
    if rest:
        raise UserError(
            f"train.batch_size: {settings.batch_size} must be divisible by {world.size} processes × "
            f"train.grad_accum_steps {settings.grad_accum_steps}; choose a multiple of {shares}"
        )
    share *= settings.grad_accum_steps
    return range(world.rank * share, (world.rank + 1) * share)


def _due(progress: Progress, every: int, settings: TrainConfig) -> bool:
    return progress.iteration % every == 0 or progress.iteration == settings.iterations


def _keeping(progress: Progress, settings: TrainConfig) -> bool:
    every = settings.keep_every
    return every > 0 and progress.iteration > 0 and progress.iteration % every == 0


def _whole(batch: Batch | UserError) -> Batch:
    if isinstance(batch, UserError):
        raise batch
    return batch


def _stop_if_broken(
    meter: Meter, state: TrainingState, settings: TrainConfig, precision: str, checkpoints: Path
) -> None:
    """End the run before broken weights are saved."""
    # fp16 overflows now and then by design: its scaler skips that step and the weights are safe.
    watched = ("loss",) if precision == "fp16" else ("loss", "gradient_norm")
    found = [(first, name) for name in watched if (first := meter.first_bad(name)) is not None]
    if found:  # what broke first broke the others
        first, name = min(found, key=lambda bad: bad[0])
        raise UserError(
            f"the {name.replace('_', ' ')} is not finite at iteration {first} (learning rate "
            f"{learning_rate(settings, first - 1):g}): lower train.lr or use precision=fp32; "
            f"{_last_good(checkpoints)}"
        )
    if precision == "fp16" and state.scaler.get_scale() < 1:
        raise UserError(
            f"the gradient overflows fp16 at every scale, by iteration {state.progress.iteration}: use "
            f"precision=bf16 or fp32; {_last_good(checkpoints)}"
        )


def _last_good(checkpoints: Path) -> str:
    state = checkpoints / STATE
    return f"{state} holds the last good state" if state.exists() else "no checkpoint had been written yet"
