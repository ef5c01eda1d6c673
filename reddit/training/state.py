"""All that a run must remember to go on exactly where it stopped."""

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
    """Where a run stands."""

    iteration: int = 0
    validated: int = 0
    """The iteration of the last validation."""
    best: float = -math.inf
    best_iteration: int = 0
    scores: dict[str, float] | None = None
    seconds: float = 0.0
    """Of training, over all its parts; reading the data and waiting between parts left out."""

    @property
    def unchosen(self) -> bool:
        """Whether a validation, of which there were others, was cut off at this iteration."""
        return self.scores is not None and self.validated < self.iteration


class TrainingState:
    """The network, its average, the optimiser, the scaler of fp16, and the progress.

    Nothing else decides how a run goes on: the learning rate, the order of the data and every random
    number are functions of the seed and the iteration.
    """

    def __init__(self, denoiser: Denoiser, settings: TrainConfig, precision: str) -> None:
        self.denoiser, self.settings, self.precision = denoiser, settings, precision
        self.device = next(denoiser.parameters()).device
        self.average = WeightAverage(denoiser, settings.ema, settings.ema_warmup)
        self.optimizer = torch.optim.Adam(denoiser.parameters(), lr=settings.lr, fused=True)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=precision == "fp16")
        self.progress = Progress()

    def save(self, path: Path) -> None:
        """Write everything, whole or not at all; errors as `save_state`."""
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
        """Take up what `save` wrote.

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
                f"{path} does not fit this configuration: resume with the one in the run's config.yaml, "
                "or give the run another --name"
            ) from error


def read_progress(path: Path) -> Progress:
    """Where the run of a saved state stands; errors as `load_state`."""
    progress = Progress()
    vars(progress).update(load_state(path)["progress"])
    return progress
