"""The checkpoints of a run: `best` and `last` weights, the training state, and the copies of `keep_every`."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Protocol

from reddit.checkpoint.format import CHOSEN, NEWEST, STATE
from reddit.config import TrainConfig
from reddit.diffusion import Denoiser
from reddit.training.state import TrainingState
from reddit.utils.errors import UserError


class WriteWeights(Protocol):
    def __call__(
        self, path: Path, denoiser: Denoiser, *, iteration: int, validation: dict[str, float]
    ) -> None:
        """Write averaged weights and their validation scores atomically."""
        ...


class Checkpoints:
    """Writes the checkpoints of a run.

    Args:
        folder: `runs/NAME/checkpoints`.
        write: `save_weights` with the arguments that are constant during the run.
        settings: `keep_every` and `keep`.
    """

    def __init__(self, folder: Path, write: WriteWeights, settings: TrainConfig) -> None:
        self.folder = folder
        self.write = write
        self.settings = settings
        self.best, self.last, self.state = (folder / name for name in (CHOSEN, NEWEST, STATE))

    def save_best(self, state: TrainingState) -> None:
        """Write the averaged weights as the chosen ones."""
        self._write_weights(self.best, state)

    def save_last(self, state: TrainingState) -> None:
        """Write the averaged weights and the training state, and keep a copy if one is due.

        Raises:
            UserError: the disk is full or the folder cannot be written.
        """
        self.save_first(state)
        self._write_weights(self.last, state)
        state.save(self.state)
        if self.copy_due(state.progress.iteration):
            keep_copy(self.folder, state.progress.iteration, self.settings.keep)

    def save_first(self, state: TrainingState) -> None:
        """Write a training state if there is none: a killed run must not leave weights without a state."""
        if not self.state.exists():
            state.save(self.state)

    def copy_due(self, iteration: int) -> bool:
        """Whether `keep_every` requires a copy at this iteration."""
        every = self.settings.keep_every
        return every > 0 and iteration > 0 and iteration % every == 0

    def copy_missing(self, iteration: int) -> bool:
        """Whether a copy of this iteration is due but missing, because the run was killed."""
        return self.copy_due(iteration) and not kept_state(self.folder, iteration).exists()

    def last_good(self) -> str:
        """Where a failed run can be resumed, for a message."""
        return (
            f"{self.state} holds the last good state"
            if self.state.exists()
            else "no checkpoint had been written yet"
        )

    def _write_weights(self, path: Path, state: TrainingState) -> None:
        progress = state.progress
        self.write(
            path, state.average.average, iteration=progress.iteration, validation=progress.scores or {}
        )


def kept_state(folder: Path, iteration: int) -> Path:
    """The path of a kept copy of the state of an iteration."""
    return folder / f"{iteration:08d}.pt"


def keep_copy(folder: Path, iteration: int, keep: int) -> None:
    """Keep a copy of the newest checkpoint, named by its iteration; only the newest `keep` copies remain.

    Raises:
        UserError: the disk is full.
    """
    for name in (NEWEST, STATE):
        source = folder / name
        target = folder / f"{iteration:08d}{source.suffix}"
        target.unlink(missing_ok=True)
        try:
            os.link(source, target)  # the next checkpoint replaces the name, not the file
        except OSError:
            try:
                shutil.copyfile(source, target)
            except OSError as error:
                target.unlink(missing_ok=True)
                raise UserError(f"cannot keep {target}: {error.strerror}; free some space") from error
    for suffix in (".safetensors", ".pt"):
        # A run resumed from an earlier state leaves copies with higher numbers: remove these first.
        kept = sorted(folder.glob(f"{'[0-9]' * 8}{suffix}"), key=lambda p: (int(p.stem) <= iteration, p))
        for old in kept[:-keep]:
            old.unlink()
