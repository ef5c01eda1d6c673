"""An estimate of the remaining time, from a few timed steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import torch

from reddit.checkpoint.build import build_denoiser
from reddit.config import Config
from reddit.data import Pair, TrainingCrops, load_pairs, load_picture, training_loader
from reddit.data.layouts import Split
from reddit.evaluation.evaluate import predict_with
from reddit.methods import Method
from reddit.reproduce.plan import Plan
from reddit.reproduce.runs import Run
from reddit.training.build import build_distillation, build_teacher, start_as, student_config
from reddit.training.state import TrainingState
from reddit.training.step import to_device, train_step
from reddit.training.validation import FIRST_LOOK
from reddit.utils.device import choose_device
from reddit.utils.errors import UserError
from reddit.utils.progress import progress

TIMED_STEPS = 3
_SPLITS: tuple[Split, ...] = ("train", "test")
ENOUGH = 3.0
"""Seconds after which the timing of one kind of run ends early."""


def estimate(plan: Plan, pending: Sequence[Run], config: Config, cells: int, quiet: bool = False) -> float:
    """A rough estimate of the seconds for training, validation and scoring on this machine.

    Args:
        pending: the unfinished runs.
        cells: the number of cells to score, times seeds.
    """
    device = choose_device(config.device)
    train, test = (load_pairs(config.data, config.data_root(), split) for split in _SPLITS)
    picture = load_picture(test[0].low)
    kinds = {_kind(run): run for run in pending}
    per_iteration = {
        kind: _seconds_per_iteration(run, picture, device)
        for kind, run in progress(list(kinds.items()), "timing steps", "kind", quiet=quiet)
    }
    predict = predict_with(build_denoiser(config).to(device), 1, precision=config.precision)
    per_call = _repeated(lambda: predict("", picture, 0))

    training = sum(
        (run.config.train.iterations - run.iteration()) * per_iteration[_kind(run)] for run in pending
    )
    validated = sum(run.steps * _validated(run.config, len(train)) for run in pending)
    mean_steps = sum(cell.steps for cell in plan.cells) / len(plan.cells)
    return training + per_call * (validated + cells * len(test) * mean_steps)


def _kind(run: Run) -> str:
    return "teacher" if run.teacher is None else run.arm.key


def _seconds_per_iteration(run: Run, picture: np.ndarray, device: torch.device) -> float:
    """Seconds of a training step, on crops of one test picture that is also its own ground truth."""
    config = run.config
    method = _method(run, device)
    state = TrainingState(method.denoiser, config.train, config.precision)
    settings = config.train.model_copy(update={"compile": False, "grad_accum_steps": 1})
    crops = TrainingCrops([Pair("", picture, picture)], config.data, config.seed)
    batch = next(iter(training_loader(crops, settings.batch_size, config.seed)))
    if isinstance(batch, UserError):
        raise batch
    batch = to_device(batch, device)
    batch_indices = range(settings.batch_size)
    return _repeated(
        lambda: train_step(method, [batch], state, seed=config.seed, batch_indices=batch_indices)
    )


def _method(run: Run, device: torch.device) -> Method:
    config = run.config
    network = build_denoiser(config).to(device)
    if run.teacher is None:
        return build_teacher(config, network)
    student = build_denoiser(student_config(config)).to(device)
    start_as(student, network)
    return build_distillation(
        config, student, network, steps=run.steps, teacher_steps=run.teacher.steps, device=device
    )


def _repeated(work: Callable[[], object]) -> float:
    """Seconds of one call, after a warm-up call."""
    work()
    start, done = time.perf_counter(), 0
    while done < TIMED_STEPS and time.perf_counter() - start < ENOUGH:
        work()
        done += 1
        if torch.cuda.is_available():
            torch.cuda.synchronize()
    return (time.perf_counter() - start) / done


def _validated(config: Config, pairs: int) -> int:
    """The number of pictures that a run restores for validation, given its training pairs."""
    share = config.data.validation * pairs
    times = -(-config.train.iterations // config.train.validate_every)
    return int(times * min(share, config.train.validation_pictures)) + FIRST_LOOK
