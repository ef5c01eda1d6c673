"""Loading a model for enhancing: shipped weights, runs and files."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import overload

import numpy as np

from reddit.checkpoint.format import CheckpointInfo, load_denoiser, read_info
from reddit.checkpoint.registry import find_checkpoint, sampling_steps
from reddit.checkpoint.sharing import fetch
from reddit.checkpoint.shipped import DEFAULT, find_shipped
from reddit.inference.enhancer import Enhancer
from reddit.inference.inputs import Kind, Picture
from reddit.utils.device import autocast, choose_device
from reddit.utils.errors import UserError
from reddit.utils.names import DEVICES, PRECISIONS


def load(
    name: str = DEFAULT, steps: int | None = None, device: str = "auto", precision: str | None = None
) -> Enhancer:
    """Load a model by the name of shipped weights, path, run folder or run name.

    Args:
        steps: sampling steps; also chooses among the shipped weights of one name. None: the model's.
        device: auto, cpu, cuda or mps.
        precision: fp32, tf32, bf16 or fp16; None: see `Enhancer`.

    Raises:
        UserError: unknown model, device or precision; steps out of range.
    """
    info = find_checkpoint(name, Path("runs"), steps)
    return enhancer_of(info, sampling_steps(info, steps), device, precision)


def from_pretrained(
    name: str,
    *,
    revision: str | None = None,
    steps: int | None = None,
    device: str = "auto",
    precision: str | None = None,
) -> Enhancer:
    """Load a shared model from the Hugging Face Hub, which downloads it once, or from a folder.

    Args:
        name: USER/MODEL, or a folder that `reddit-llie push -o` wrote.
        revision: a branch, tag or commit of the Hub; None: the newest.
        steps, device, precision: as of `load`.

    Raises:
        UserError: there is no such model; the extra `hub` is missing; errors as in `load`.
    """
    info = read_info(fetch(name, revision))
    return enhancer_of(info, sampling_steps(info, steps), device, precision)


def enhancer_of(info: CheckpointInfo, steps: int, device: str, precision: str | None) -> Enhancer:
    """Load the weights of a checkpoint; errors as in `load`."""
    if precision not in (None, *PRECISIONS):
        raise UserError(f"precision {precision!r}: must be one of {', '.join(PRECISIONS)}")
    if device not in DEVICES:
        raise UserError(f"device {device!r}: must be one of {', '.join(DEVICES)}")
    where = choose_device(device)
    if precision is not None:
        autocast(where, precision)  # raises if the device lacks it
    denoiser, info = load_denoiser(info.path)
    return Enhancer(denoiser.to(where), info, steps, precision)


@cache
def _shipped() -> Enhancer:
    path = find_shipped(DEFAULT)
    if path is None:
        raise UserError(
            f"the weights {DEFAULT!r} are missing from this installation: reinstall it, or load others"
        )
    info = read_info(path)
    return enhancer_of(info, info.steps, "auto", None)


@overload
def enhance(picture: Kind, *, seed: int = 0, strength: float = 1.0, guard: bool | None = None) -> Kind: ...


@overload
def enhance(
    picture: str | Path, *, seed: int = 0, strength: float = 1.0, guard: bool | None = None
) -> np.ndarray: ...


def enhance(
    picture: Picture | str | Path, *, seed: int = 0, strength: float = 1.0, guard: bool | None = None
) -> Picture:
    """Enhance a dark picture with the weights that come with the package; see `Enhancer.enhance`."""
    return _shipped().enhance(picture, seed=seed, strength=strength, guard=guard)  # type: ignore[misc]
