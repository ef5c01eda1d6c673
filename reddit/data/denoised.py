"""The denoised low picture D(y) of equation 7: computed once a picture, kept on disk between runs."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from reddit.data.crops import Denoise
from reddit.data.pairs import fingerprint
from reddit.errors import UserError
from reddit.images import encode, read_uint8, write_bytes
from reddit.retinex import denoise_gaussian, denoise_nlm


def make_denoiser(kind: Literal["nlm", "gaussian"], nlm_strength: float, cache: Path) -> Denoise:
    """D of equation 7; non-local means, the slow one, keeps its results under `cache`."""
    if kind == "gaussian":
        return denoise_gaussian
    return partial(_cached_nlm, strength=nlm_strength, cache=cache)


def _cached_nlm(picture: np.ndarray, strength: float, cache: Path) -> np.ndarray:
    path = cache / f"nlm-{strength:g}-{fingerprint(picture)}.png"
    if path.exists():
        try:
            return read_uint8(path)
        except UserError:  # a damaged cache entry costs only the time to make it again
            path.unlink(missing_ok=True)
    denoised = denoise_nlm(picture, strength)
    write_bytes(path, encode(denoised))
    return denoised
