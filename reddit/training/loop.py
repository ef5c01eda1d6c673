"""The training loop, for every method and any number of processes: fetch, step, log, validate, save."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor
from tqdm import tqdm

from reddit.config import TrainConfig
from reddit.data import Batch, working
from reddit.methods import Method
from reddit.training.batches import Loader, fetch, share_of_batch
from reddit.training.checkpoints import Checkpoints, WriteWeights
from reddit.training.compiling import compile_networks, with_fallback
from reddit.training.distributed import World
from reddit.training.finite import check_finite
from reddit.training.logging import Meter, Tracker
from reddit.training.lr_schedule import learning_rate
from reddit.training.state import Progress, TrainingState
from reddit.training.step import train_step
from reddit.training.stopping import StopRequest
from reddit.training.validation import FIRST_LOOK, Validate
from reddit.utils.errors import Stopped, UserError
from reddit.utils.files import remove_leftovers
from reddit.utils.profiling import phase
from reddit.utils.progress import Log, print_err


class Trainer:
    """Trains a method until `settings.iterations`, from the start or from a saved state.

    All random numbers depend only on (seed, iteration, index in the batch). On the same processor, a resumed
    run gives bit-identical weights to an uninterrupted one. Several processes, or a GPU with
    non-deterministic kernels, give the same up to the order of sums.

    Writes `checkpoints/{last,best}.safetensors` (averaged weights), `checkpoints/state.pt`, the copies of
    `keep_every`, `log.jsonl` and `tb/` in `folder`. Only the main process writes.

    Args:
        method: the network to train and its losses.
        loader: gives the micro-batches.
        settings: iterations, batch size, learning rate, and how often to log, validate and save.
        folder: the run folder.
        seed: seed of all noise.
        precision: fp32, tf32, bf16 or fp16.
        write_weights: writes a checkpoint of the averaged weights.
        validate: scores the averaged weights; without it, the newest weights become the best.
        world: the processes of this run; default only this one.
        quiet: no progress bar.
        log: receives warnings.

    Raises:
        UserError: the batch cannot be split between the processes and micro-batches.
    """

    def __init__(
        self,
        method: Method,
        loader: Loader,
        settings: TrainConfig,
        folder: Path,
        *,
        seed: int,
        precision: str,
        write_weights: WriteWeights,
        validate: Validate | None = None,
        world: World | None = None,
        quiet: bool = False,
        log: Log = print_err,
    ) -> None:
        self.method, self.loader, self.settings, self.folder = method, loader, settings, folder
        self.seed, self.score, self.quiet, self.log = seed, validate, quiet, log
        self.world = world or World()
        self.batch_indices = share_of_batch(settings, self.world)
        self.checkpoints = Checkpoints(folder / "checkpoints", write_weights, settings)
        self.state = TrainingState(method.denoiser, settings, precision)
        self.progress = self.state.progress
        self.meter = Meter(self.state.device)
        self.stop = StopRequest(aloud=self.world.main, alone=self.world.size == 1)
        self.tracker: Tracker | None = None

    def train(self, resume: Path | None = None) -> Progress:
        """Train to the end.

        Args:
            resume: the training state to resume from.

        Raises:
            UserError: a loss or gradient is not finite; the disk is full; the state to resume does not match;
                a picture can no longer be read; a process or a worker was lost.
            Stopped: SIGTERM or Ctrl-C was received; a checkpoint was written.
        """
        self.prepare(resume)
        with self._running() as (batches, bar):
            self.before_first_step(resume)
            while self.progress.iteration < self.settings.iterations:
                self.stop_if_asked()
                losses = self.train_step(batches)
                self.meter.add(self.progress.iteration, losses)
                bar.update()
                if self.should_log() or self.should_validate() or self.should_save():
                    check_finite(self.meter, self.state, self.checkpoints)
                if self.should_log():
                    self.log_means(bar)
                with self.meter.paused():
                    if self.should_validate():
                        self.validate()
                    if self.should_save():
                        self.save()
            if self.asked_to_stop():
                raise self.stopped()
        self.finish()
        return self.progress

    def prepare(self, resume: Path | None) -> None:
        """Load the state to resume from, compile the networks, remove files of killed processes."""
        if resume is not None:
            self.state.load(resume)
        if not self.checkpoints.best.exists():  # the state comes from another folder
            self.progress.best = -math.inf
        compile_networks(self.method, self.settings.compile)
        if self.world.main:
            remove_leftovers(self.folder)
            remove_leftovers(self.checkpoints.folder)
            self.tracker = Tracker(self.folder, self.progress.iteration)

    def before_first_step(self, resume: Path | None) -> None:
        """Validate a few pictures, so that errors show early; or, after a resume, catch up."""
        if self.score is not None and self.progress.iteration == 0:
            self.score(self.state.average.average, limit=FIRST_LOOK)
        elif resume is not None:
            self.catch_up(resume)
        self.meter.reset()

    def catch_up(self, source: Path) -> None:
        """Do the validation and the saving that a run missed because it was stopped in between."""
        late = self.score is not None and self.progress.validated < self.progress.iteration
        late = late and self.should_validate()
        if late:
            self.validate()
        uncopied = self.checkpoints.copy_missing(self.progress.iteration)
        if late or uncopied or source.resolve() != self.checkpoints.state.resolve():
            self.save()

    def train_step(self, batches: Iterator[Batch | UserError]) -> dict[str, Tensor]:
        """One iteration: fetch micro-batches, update the weights and their average; returns the losses."""
        with self.meter.waiting(), phase("data"):
            micro_batches = fetch(batches, self.settings.grad_accum_steps, self.state.device)
        step = partial(
            train_step,
            self.method,
            micro_batches,
            self.state,
            seed=self.seed,
            batch_indices=self.batch_indices,
            world=self.world,
        )
        losses = with_fallback(self.method, self.settings.compile, step, self.log)
        self.state.average.update(self.method.denoiser, self.progress.iteration)
        self.progress.iteration += 1
        return losses

    def should_log(self) -> bool:
        return self._due(self.settings.log_every)

    def should_validate(self) -> bool:
        return self._due(self.settings.validate_every)

    def should_save(self) -> bool:
        return self.checkpoints.copy_due(self.progress.iteration) or self._due(self.settings.checkpoint_every)

    def log_means(self, bar: tqdm[Any]) -> None:
        """Log the losses and the speed since the last time."""
        self.progress.seconds += self.meter.seconds()
        left = self.settings.iterations - self.progress.iteration
        means = self.meter.means(self.settings.batch_size, left)
        means["lr"] = learning_rate(self.settings, self.progress.iteration - 1)
        if self.tracker:
            self.tracker.scalars(self.progress.iteration, "train", means)
        best = f"{self.progress.best:.2f}" if self.progress.scores else "-"
        bar.set_postfix(loss=f"{means['loss']:.4f}", val=best)
        self.meter.reset()

    def validate(self) -> None:
        """Score the averaged weights, and keep them if they are the best so far."""
        if self.score is None or (found := self.score(self.state.average.average, stop=self.stop)) is None:
            return
        if self.world.main:
            self.checkpoints.save_first(self.state)
        progress, psnr = self.progress, found.scores["psnr"]
        progress.scores, progress.validated = found.scores, progress.iteration
        if better := psnr > progress.best:
            progress.best, progress.best_iteration = psnr, progress.iteration
        if self.tracker:
            self.tracker.scalars(progress.iteration, "validation", found.scores)
            self.tracker.panel(progress.iteration, *found.panel)
            if better:
                self.checkpoints.save_best(self.state)

    def save(self) -> None:
        """Write the newest weights and the training state."""
        if self.world.main:
            self.checkpoints.save_last(self.state)

    def finish(self) -> None:
        """Save the newest weights as the best if no validation chose any; wait for the other processes."""
        if self.world.main and (self.score is None or not self.checkpoints.best.exists()):
            self.checkpoints.save_best(self.state)
        self.world.wait()

    def asked_to_stop(self) -> bool:
        """Whether any process was asked to stop."""
        return self.world.any(bool(self.stop))

    def stop_if_asked(self) -> None:
        """Save and stop if any process was asked to."""
        if self.asked_to_stop():
            check_finite(self.meter, self.state, self.checkpoints)
            self.save()
            raise self.stopped()

    def stopped(self) -> Stopped:
        """The exception that ends a stopped run."""
        return self.stop.error(f"at iteration {self.progress.iteration} of {self.settings.iterations}")

    @contextmanager
    def _running(self) -> Iterator[tuple[Iterator[Batch | UserError], tqdm[Any]]]:
        """Open the log, the signal handlers, the loader and the progress bar; close them at the end."""
        settings, iteration = self.settings, self.progress.iteration
        with (
            self.tracker or nullcontext(),
            self.stop.listening(),
            working(
                self.loader(
                    iteration, batch_indices=self.batch_indices, grad_accum_steps=settings.grad_accum_steps
                )
            ) as batches,
            tqdm(
                total=settings.iterations,
                initial=iteration,
                desc=self.folder.name,
                unit="it",
                disable=self.quiet or not self.world.main,
                smoothing=0.05,
            ) as bar,
        ):
            yield batches, bar

    def _due(self, every: int) -> bool:
        return self.progress.iteration % every == 0 or self.progress.iteration == self.settings.iterations
