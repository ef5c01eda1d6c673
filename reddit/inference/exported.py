"""Loading exported files and comparing them with PyTorch."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from reddit.checkpoint.format import load_denoiser
from reddit.diffusion import Denoiser
from reddit.inference.export import METADATA_FILE
from reddit.inference.exported_enhancer import asks_for_noise, open_session
from reddit.inference.sampler_graph import Sampler
from reddit.inference.sampling import restore
from reddit.utils.errors import UserError

Format = Literal["safetensors", "onnx", "pt2"]
Run = Callable[[Tensor, Tensor], Tensor]
"""(low, noise) → restored."""

CHECKED = ((75, 131), (129, 67), (9, 5))
"""Sizes of the pictures for checking an exported file."""
TOLERATED: dict[Format, tuple[float, float]] = {
    "safetensors": (2e-2, 2e-3),
    "onnx": (1e-3, 1e-4),
    "pt2": (1e-3, 1e-4),
}
"""Tolerated differences from PyTorch in single precision, for values in [0, 1]: largest and mean."""


@dataclass(frozen=True)
class Difference:
    """The difference between an exported file's picture and PyTorch's, for values in [0, 1]."""

    size: tuple[int, int]
    largest: float
    mean: float

    def __str__(self) -> str:
        height, width = self.size
        return f"{width}×{height}: largest difference {self.largest:.1e}, mean {self.mean:.1e}"


def check_sampler(
    run: Run,
    denoiser: Denoiser,
    steps: int,
    *,
    clip: bool,
    tolerated: tuple[float, float],
    sizes: Sequence[tuple[int, int]] = CHECKED,
) -> list[Difference]:
    """Compare `run` with `restore` in single precision on pictures of these sizes (H, W), with equal noise.

    Raises:
        UserError: the largest or the mean difference exceeds `tolerated`.
    """
    found = []
    for seed, (height, width) in enumerate(sizes):
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(3, height, width, generator=generator)[None]
        low = 0.3 * torch.rand(1, 3, height, width, generator=generator)
        expected = restore(denoiser, low, steps, [seed], clip=clip)
        gap = (run(low, noise) - expected).abs()
        found.append(Difference((height, width), gap.max().item(), gap.mean().item()))
    largest, mean = tolerated
    for difference in found:
        if not (difference.largest <= largest and difference.mean <= mean):  # also for NaN
            raise UserError(
                f"the exported file differs from the model: {difference}; tolerated are {largest:g} "
                f"and {mean:g}: do not use it, write another --format"
            )
    return found


def load_sampler(path: Path, form: Format, steps: int, clip: bool) -> Run:
    """Load an exported file as a function of `low` and `noise`, on the CPU; some networks ignore `noise`.

    `steps` and `clip` are used for a safetensors file; the other formats contain them.

    Raises:
        UserError: ONNX Runtime is missing.
    """
    if form == "onnx":
        return _onnx_session(path)
    if form == "pt2":
        program = torch.export.load(path)
        module: nn.Module = program.module()
        asks = "noise" in program.graph_signature.user_inputs
    else:
        module, asks = Sampler(load_denoiser(path)[0], steps, clip), True

    @torch.no_grad()
    def run(low: Tensor, noise: Tensor) -> Tensor:
        return module(low, noise) if asks else module(low)

    return run


def is_exported(path: Path, form: Format) -> bool:
    """Whether a file is one that `export_sampler` wrote in this format; its metadata tells."""
    if form == "onnx":
        content = path.read_bytes()
        return all(key in content for key in (b"trained_for_steps", b"source_digest"))
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith(METADATA_FILE) for name in archive.namelist())


def _onnx_session(path: Path) -> Run:
    session = open_session(path)
    asks = asks_for_noise(session)

    def run(low: Tensor, noise: Tensor) -> Tensor:
        given = {"low": low.numpy()} | ({"noise": noise.numpy()} if asks else {})
        (restored,) = session.run(["restored"], given)
        return torch.from_numpy(restored)

    return run
