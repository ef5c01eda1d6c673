"""The settings of `Enhancer.enhance`. Functions pass on those that they do not use."""

from __future__ import annotations

from typing import TypedDict


class Settings(TypedDict, total=False):
    """Described at `Enhancer.enhance`."""

    seed: int
    strength: float
    ensemble: int
    guard: bool | None
    tile: int | None
    tile_overlap: int | None
    same_noise: bool
    name: str | None
    quiet: bool
