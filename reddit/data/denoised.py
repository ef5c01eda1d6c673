"""The denoised picture D(y) of equation 7: computed once per picture and cached on disk."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from reddit.data.crops import Denoise
from reddit.image.pixels import fingerprint
from reddit.image.read import read_uint8
from reddit.image.write import encode
from reddit.utils.errors import UserError
from reddit.utils.files import write_bytes


def make_denoiser(kind: Literal["nlm", "gaussian"], nlm_strength: float, cache: Path) -> Denoise:
    """D of equation 7; results of non-local means, which is slow, are cached in the folder `cache`."""
    if kind == "gaussian":
        return denoise_gaussian
    return partial(_cached_nlm, strength=nlm_strength, cache=cache)


def _cached_nlm(picture: np.ndarray, strength: float, cache: Path) -> np.ndarray:
    path = cache / f"nlm-{strength:g}-{fingerprint(picture)}.png"
    if path.exists():
        try:
            return read_uint8(path)
        except UserError:  # damaged: compute it again
            path.unlink(missing_ok=True)
    denoised = denoise_nlm(picture, strength)
    write_bytes(path, encode(denoised))
    return denoised


def denoise_nlm(picture: np.ndarray, strength: float = 3.0) -> np.ndarray:
    """Non-local means (Buades et al. 2005) on RGB uint8 (H, W, 3), comparing all channels together.

    `strength` is the filter strength h in 8-bit levels; patches 7×7, search window 21×21.
    """
    return cv2.fastNlMeansDenoising(np.ascontiguousarray(picture), None, strength, 7, 21)


def denoise_gaussian(picture: np.ndarray) -> np.ndarray:
    """Gaussian blur 15×15, sigma 3, as in the authors' code, on RGB uint8 (H, W, 3)."""
    return cv2.GaussianBlur(picture, (15, 15), 3.0)
