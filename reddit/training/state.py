"""The training state: everything that an exact resume needs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from reddit.checkpoint.format import load_state, save_state
from reddit.config import TrainConfig
from reddit.diffusion import Denoiser
from reddit.training.ema import WeightAverage
from reddit.utils.errors import UserError
from reddit.utils.text import short


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

    def update(self, saved: dict[str, Any]) -> None:
        """Copy saved values; those missing from a state of an older version keep their defaults.

        Raises:
            ValueError: one is not a number.
        """
        new = {name: saved.get(name, value) for name, value in vars(self).items()}
        iterations = [new[name] for name in ("iteration", "validated", "best_iteration")]
        numbers = [new["best"], new["seconds"], *(new["scores"] or {}).values()]
        if not all(type(number) is int and number >= 0 for number in iterations):
            raise ValueError("iterations must be integers")
        if not all(type(number) in (int, float) for number in numbers):
            raise ValueError("scores must be numbers")
        vars(self).update(new)

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
        fused = self.device.type != "mps" or None  # None: if PyTorch has it there
        self.optimizer = torch.optim.Adam(denoiser.parameters(), lr=settings.lr, fused=fused)
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
            self._load_optimizer(state["optimizer"])
            self.scaler.load_state_dict(state["scaler"])
            self.progress.update(state["progress"])
            self._check()
        except (KeyError, IndexError, RuntimeError, TypeError, ValueError, AttributeError) as error:
            reason = short(str(error).partition("\n")[0])
            raise UserError(
                f"{path} does not match this configuration ({reason}): resume with that in the run's "
                "config.yaml, or choose another --name"
            ) from error

    def _load_optimizer(self, saved: dict[str, Any]) -> None:
        """Load the moments of Adam; its options are those of this version, and each step sets `lr`."""
        options = [
            {key: value for key, value in group.items() if key not in ("params", "lr")}
            for group in self.optimizer.param_groups
        ]
        self.optimizer.load_state_dict(saved)
        for group, own in zip(self.optimizer.param_groups, options, strict=True):
            group.update(own)

    def _check(self) -> None:
        """Check that the loaded state can be trained.

        Raises:
            ValueError: a weight is not finite; a moment of the optimiser has another shape than its weight.
        """
        for module in (self.denoiser, self.average.average):
            if not all(tensor.isfinite().all() for tensor in module.state_dict().values()):
                raise ValueError("a weight is not finite")
        for parameter, moments in self.optimizer.state.items():
            shapes = [moments[name].shape for name in ("exp_avg", "exp_avg_sq", "step")]
            if shapes != [parameter.shape, parameter.shape, torch.Size()]:
                raise ValueError("a moment of the optimiser has another shape")


def read_progress(path: Path) -> Progress:
    """The progress in a saved state; errors as in `load_state`."""
    progress = Progress()
    try:
        progress.update(load_state(path)["progress"])
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is not a training state: restore or remove it") from error
    return progress
