"""The one training loop: report, validate, checkpoint, step; for every method alike."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from reddit.build import autocast
from reddit.config import TrainConfig
from reddit.data import Batch
from reddit.diffusion import Denoiser
from reddit.engine.checkpoint import load_state, save_state
from reddit.engine.ema import WeightAverage
from reddit.engine.tracking import Tracker
from reddit.errors import UserError
from reddit.methods import Method


class Validation(NamedTuple):
    """Scores by name (weights are chosen by `psnr`), and (low, ours, truth), each (3, H, W) in [0, 1]."""

    scores: dict[str, float]
    panel: tuple[Tensor, Tensor, Tensor]


Validate = Callable[[Denoiser], Validation]
"""Scores the averaged denoiser."""
SaveWeights = Callable[[Path, Denoiser, int, dict[str, float]], None]
"""(path, averaged denoiser, iteration, validation scores) → a checkpoint on disk."""


@dataclass
class Progress:
    """Where a run stands."""

    iteration: int = 0
    best: float = -math.inf
    scores: dict[str, float] | None = None
    seconds: float = 0.0


def fit(
    method: Method,
    loader_from: Callable[[int], DataLoader[Batch]],
    settings: TrainConfig,
    folder: Path,
    *,
    seed: int,
    precision: str,
    save_weights: SaveWeights,
    validate: Validate | None = None,
    resume: Path | None = None,
    quiet: bool = False,
) -> Progress:
    """Train until `settings.iterations`, from the start or from a saved state.

    Every random draw of iteration i depends on (seed, i) alone, so that on the same machine a resumed
    run gives the same weights, bit for bit, as one that was never interrupted.

    Writes `checkpoints/{last,best}.safetensors` (averaged weights), `checkpoints/state.pt`, `log.jsonl`
    and `tb/` under `folder`.

    Raises:
        UserError: the loss is no longer finite; the disk is full; the state to resume does not fit.
    """
    checkpoints = folder / "checkpoints"
    denoiser = method.denoiser
    device = next(denoiser.parameters()).device
    average = WeightAverage(denoiser, settings.ema)
    optimizer = torch.optim.Adam(denoiser.parameters(), lr=settings.lr)
    scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")
    progress = Progress()
    if resume is not None:
        _restore(load_state(resume), denoiser, average, optimizer, scaler, progress, resume)
    tracker = Tracker(folder, progress.iteration)

    def checkpoint() -> None:
        save_weights(
            checkpoints / "last.safetensors", average.average, progress.iteration, progress.scores or {}
        )
        save_state(
            checkpoints / "state.pt",
            {
                "denoiser": denoiser.state_dict(),
                "average": average.average.state_dict(),
                "optimizer": optimizer.state_dict(),
                "scaler": scaler.state_dict(),
                "progress": vars(progress),
            },
        )

    def check() -> None:
        if validate is None:
            return
        progress.scores, panel = validate(average.average)
        tracker.scalars(progress.iteration, "validation", progress.scores)
        tracker.panel(progress.iteration, *panel)
        if progress.scores["psnr"] > progress.best:
            progress.best = progress.scores["psnr"]
            save_weights(
                checkpoints / "best.safetensors", average.average, progress.iteration, progress.scores
            )

    if progress.iteration == 0 and validate is not None:
        # Before an hour of training rather than after it: a validation that cannot run fails here.
        tracker.scalars(0, "validation", validate(average.average).scores)

    batches: Iterator[Batch] = iter(loader_from(progress.iteration))
    sums: dict[str, Tensor] = {}
    counted = 0
    clock = time.perf_counter()
    periods = (settings.log_every, settings.validate_every, settings.checkpoint_every)
    bar = tqdm(
        total=settings.iterations,
        initial=progress.iteration,
        desc=folder.name,
        unit="it",
        disable=quiet,
        smoothing=0.05,
    )
    while progress.iteration < settings.iterations:
        i = progress.iteration
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(settings, i)
        losses = step(
            method, to_device(next(batches), device), optimizer, scaler, settings, seed, i, precision
        )
        average.update(denoiser, i)
        for name, value in losses.items():
            sums[name] = sums.get(name, torch.zeros((), device=device)) + value
        counted += 1
        progress.iteration = done = i + 1
        finished = done == settings.iterations
        bar.update()

        reporting, validating, saving = (done % every == 0 or finished for every in periods)
        if reporting or validating or saving:
            # fp16 overflows now and then by design: its scaler skips that step and the weights are safe.
            watched = ("loss",) if precision == "fp16" else ("loss", "gradient_norm")
            for name in watched:
                if not math.isfinite(mean := float(sums[name]) / counted):
                    raise UserError(
                        f"the {name.replace('_', ' ')} is {mean} at iteration {done}: lower train.lr "
                        f"({settings.lr:g}) or use precision=fp32; {checkpoints} keeps the last good state"
                    )
        if reporting:
            means = {name: float(value) / counted for name, value in sums.items()}
            now = time.perf_counter()
            progress.seconds += now - clock
            means |= {"lr": learning_rate(settings, i), "seconds_an_iteration": (now - clock) / counted}
            tracker.scalars(done, "train", means)
            bar.set_postfix(
                loss=f"{means['loss']:.4f}", val=f"{progress.best:.2f}" if progress.scores else "-"
            )
            sums, counted, clock = {}, 0, now
        if validating:
            check()
        if saving:
            checkpoint()
    bar.close()
    tracker.close()
    if validate is None:  # the newest weights are chosen
        save_weights(
            checkpoints / "best.safetensors", average.average, progress.iteration, progress.scores or {}
        )
    return progress


def step(
    method: Method,
    batch: Batch,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    settings: TrainConfig,
    seed: int,
    iteration: int,
    precision: str,
) -> dict[str, Tensor]:
    """One descent; the losses and the gradient's norm before clipping, detached."""
    device = batch["low"].device
    generator = torch.Generator(device).manual_seed((seed << 32) + iteration)
    method.denoiser.train()
    with autocast(device, precision):
        losses = method.losses(batch, generator)
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(scaler.scale(losses["loss"]))
    scaler.unscale_(optimizer)
    norm = torch.nn.utils.clip_grad_norm_(method.denoiser.parameters(), settings.gradient_clip)
    scaler.step(optimizer)
    scaler.update()
    return {name: value.detach() for name, value in losses.items()} | {"gradient_norm": norm.detach()}


def learning_rate(settings: TrainConfig, iteration: int) -> float:
    """Linear warm-up, constant, then linear decay to `lr_end`."""
    rate = settings.lr * min(1.0, (iteration + 1) / max(1, settings.warmup))
    start = settings.decay_from * settings.iterations
    if iteration <= start:
        return rate
    left = (settings.iterations - iteration) / (settings.iterations - start)
    return settings.lr_end + (rate - settings.lr_end) * left


def to_device(batch: Batch, device: torch.device) -> Batch:
    """Move a batch to where the network is, in channels-last order."""
    move = {"device": device, "memory_format": torch.channels_last, "non_blocking": True}
    return {
        "low": batch["low"].to(**move),  # type: ignore[call-overload]
        "high": batch["high"].to(**move),  # type: ignore[call-overload]
        "denoised": batch["denoised"].to(**move),  # type: ignore[call-overload]
    }


def _restore(
    state: dict[str, object],
    denoiser: Denoiser,
    average: WeightAverage,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    progress: Progress,
    path: Path,
) -> None:
    try:
        denoiser.load_state_dict(state["denoiser"])  # type: ignore[arg-type]
        average.average.load_state_dict(state["average"])  # type: ignore[arg-type]
        optimizer.load_state_dict(state["optimizer"])  # type: ignore[arg-type]
        scaler.load_state_dict(state["scaler"])  # type: ignore[arg-type]
        vars(progress).update(state["progress"])  # type: ignore[call-overload]
    except (KeyError, RuntimeError, ValueError) as error:
        raise UserError(
            f"{path} does not fit this configuration: resume with the one in the run's config.yaml, "
            "or give the run another --name"
        ) from error
