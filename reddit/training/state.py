"""The training state: everything that an exact resume needs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch

from reddit.checkpoint.format import load_state, save_state
from reddit.config import TrainConfig
from reddit.diffusion import Denoiser
from reddit.training.ema import WeightAverage
from reddit.utils.errors import UserError


@dataclass
class Progress:
    """The progress of a run."""

    iteration: int = 0
    validated: int = 0
    """The iteration of the last validation."""
    best: float = -math.inf
    best_iteration: int = 0
    scores: dict[str, float] | None = None
    seconds: float = 0.0
    """Seconds of training over all resumes, without reading the data."""

    @property
    def unchosen(self) -> bool:
        """Whether the run was stopped before the validation at this iteration was finished."""
        return self.scores is not None and self.validated < self.iteration


class TrainingState:
    """The network, its average, the optimizer, the scaler of fp16, and the progress.

    A resume needs nothing else: the learning rate, the order of the data and all random numbers are functions
    of the seed and the iteration.
    """

    def __init__(self, denoiser: Denoiser, settings: TrainConfig, precision: str) -> None:
        self.denoiser, self.settings, self.precision = denoiser, settings, precision
        self.device = next(denoiser.parameters()).device
        self.average = WeightAverage(denoiser, settings.ema, settings.ema_warmup)
        self.optimizer = torch.optim.Adam(denoiser.parameters(), lr=settings.lr, fused=True)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=precision == "fp16")
        self.progress = Progress()

    def save(self, path: Path) -> None:
        """Write everything atomically; errors as in `save_state`."""
        save_state(
            path,
            {
                "denoiser": self.denoiser.state_dict(),
                "average": self.average.average.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "scaler": self.scaler.state_dict(),
                "progress": vars(self.progress),
            },
        )

    def load(self, path: Path) -> None:
        """Read what `save` wrote.

        Raises:
            UserError: the file is damaged or belongs to another configuration.
        """
        state = load_state(path)
        try:
            self.denoiser.load_state_dict(state["denoiser"])
            self.average.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.scaler.load_state_dict(state["scaler"])
            vars(self.progress).update(state["progress"])
        except (KeyError, IndexError, RuntimeError, TypeError, ValueError, AttributeError) as error:
            raise UserError(
                f"{path} does not match this configuration: resume with that in the run's config.yaml, "
                "or choose another --name"
            ) from error


def read_progress(path: Path) -> Progress:
    """The progress in a saved state; errors as in `load_state`."""
    progress = Progress()
    vars(progress).update(load_state(path)["progress"])
    return progress
