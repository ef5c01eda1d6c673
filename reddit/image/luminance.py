"""How bright a picture is, and whether a model for dark ones should touch it.

The measure is the mean luminance, which tells the 485 dark training pictures of LOL-v1 from their 485 lit
partners better than the median and other percentiles do. Between `DARK` and `LIT` lie 1.2 % of the dark
pictures and 12 % of the lit ones; above `LIT` none of the dark and 87 % of the lit.
"""

from __future__ import annotations

import numpy as np

DARK, LIT = 0.24, 0.34
"""Mean luminances up to which a picture is enhanced, and from which it is left as it is."""
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Weights of red, green and blue (ITU-R BT.601)."""
_SAMPLES = 1_000_000


def luminance(colour: np.ndarray) -> np.ndarray:
    """Float RGB (..., 3) → (...)."""
    return np.asarray(colour @ LUMA)


def mean_luminance(colour: np.ndarray, visible: np.ndarray | None = None) -> float:
    """The mean luminance, in the units of the picture, of an RGB (H, W, 3).

    Args:
        visible: (H, W), True where the picture is not wholly transparent; nothing visible counts as black.

    Of a picture above a million pixels, every k-th row and column is looked at.
    """
    step = max(1, round((colour.shape[0] * colour.shape[1] / _SAMPLES) ** 0.5))
    light = luminance(colour[::step, ::step].astype(np.float32))
    if visible is not None:
        light = light[visible[::step, ::step]]
    return float(light.mean(dtype=np.float64)) if light.size else 0.0


def fade(mean: float) -> float:
    """The share of the enhancement that a picture of this mean luminance (in [0, 1]) gets.

    1 up to `DARK`, 0 from `LIT`, linear between.
    """
    return min(1.0, max(0.0, (LIT - mean) / (LIT - DARK)))
