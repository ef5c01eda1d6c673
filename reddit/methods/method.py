"""The interface between the training loop and a method, and the random numbers of a step."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from reddit.data import Batch
from reddit.diffusion import Denoiser
from reddit.utils.device import to_device_of


class StepRNG:
    """The random numbers of one training step, with one generator per sample.

    Uniform numbers are on the processor, where times and noise levels are computed; noise is on `device`.

    They depend only on (seed, iteration, index in the whole batch). So a resumed run draws the same numbers,
    and so does a batch that is split over processes or micro-batches.

    Args:
        seed: seed of the run.
        iteration: iteration, from 0.
        batch_indices: indices of these samples in the whole batch.
        device: device of the noise.
    """

    def __init__(
        self, seed: int, iteration: int, batch_indices: range, device: torch.device | str = "cpu"
    ) -> None:
        self.iteration = iteration
        self.device = torch.device(device)
        self._batch = np.random.default_rng([seed, iteration, 0, 1])
        self._samples = [np.random.default_rng([seed, iteration, index, 2]) for index in batch_indices]

    def __len__(self) -> int:
        return len(self._samples)

    def batch_uniform(self) -> float:
        """One number, uniform in [0, 1), shared by the whole batch."""
        return float(self._batch.random())

    def uniform(self) -> Tensor:
        """Uniform in [0, 1), one per sample: (B,), float64."""
        return torch.tensor([rng.random() for rng in self._samples], dtype=torch.float64)

    def noise(self, like: Tensor) -> Tensor:
        """Standard normal in the shape and dtype of `like` (B, …); channels-last for images."""
        parts = [
            torch.randn(like.shape[1:], dtype=like.dtype, device=self.device, generator=self._generator(rng))
            for rng in self._samples
        ]
        noise = torch.stack(parts)
        return noise.contiguous(memory_format=torch.channels_last) if noise.ndim == 4 else noise

    def _generator(self, rng: np.random.Generator) -> torch.Generator:
        return torch.Generator(self.device).manual_seed(int(rng.integers(2**63)))


class Method(Protocol):
    """A training method: the teacher's, or a distillation."""

    name: str
    denoiser: Denoiser
    """The network being trained."""
    steps: int
    """The sampling steps it is trained for."""

    def losses(self, batch: Batch, rng: StepRNG) -> dict[str, Tensor]:
        """Scalars by name; `loss` is minimised, the others are logged. All randomness comes from `rng`.

        Each is a mean over the batch, so the mean over equal micro-batches equals that of the whole batch.
        """
        ...


def replaced(image: Tensor, mask: Tensor, other: Tensor) -> Tensor:
    """`image` (B, 3, H, W) with those of `other` where `mask` (B,), on the processor, is set."""
    if not mask.any():
        return image
    return torch.where(to_device_of(image, mask, torch.bool).view(-1, 1, 1, 1), other, image)


def context_of(batch: Batch, denoiser: Denoiser) -> Tensor | None:
    """The thumbnails of a batch in [-1, 1], if the network takes them."""
    return to_minus_one_one(batch["context"]) if denoiser.takes_context else None


def to_minus_one_one(image: Tensor) -> Tensor:
    """[0, 1] → [-1, 1]."""
    return 2 * image - 1
