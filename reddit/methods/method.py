"""What the training loop asks of a method."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from reddit.data import Batch
from reddit.diffusion import Denoiser


class Method(Protocol):
    """A training method: the teacher's, or a distillation."""

    name: str
    denoiser: Denoiser
    """The network being trained."""
    steps: int
    """The sampling steps it is trained for."""

    def losses(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Scalars by name; `loss` is the one to descend. `generator` is the step's only randomness."""
        ...


def signed(image: Tensor) -> Tensor:
    """[0, 1] → [-1, 1]."""
    return 2 * image - 1


def draw(shape: tuple[int, ...], generator: torch.Generator, like: Tensor) -> Tensor:
    """Uniform numbers in [0, 1), float64, on the device of `like`."""
    return torch.rand(shape, generator=generator, dtype=torch.float64, device=generator.device).to(
        like.device
    )


def draw_noise(like: Tensor, generator: torch.Generator) -> Tensor:
    """Standard normal noise like `like`."""
    noise = torch.randn(like.shape, generator=generator, device=generator.device)
    return noise.to(like.device).contiguous(memory_format=torch.channels_last)
