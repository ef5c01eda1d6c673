"""Error maps: the difference between an output and its ground truth, as a picture."""

from __future__ import annotations

import cv2
import numpy as np

from reddit.image.arrays import shrink

ERROR_SIDE = 400
ERROR_TOP = 0.25
"""The mean absolute difference, in [0, 1], of the last colour."""


def error_map(output: np.ndarray, gt: np.ndarray, side: int = ERROR_SIDE) -> np.ndarray:
    """|output − gt|, mean of the channels, in inferno's colours: black is 0, the last is `ERROR_TOP`.

    Args:
        output, gt: uint8 (H, W, 3).
        side: the longer side of the map; a larger picture's errors are averaged.

    Returns:
        uint8 RGB (h, w, 3).
    """
    difference = cv2.absdiff(output, gt).astype(np.float32).mean(axis=2) / 255
    level = np.clip(shrink(difference, side) / ERROR_TOP, 0, 1)
    return _inferno(np.rint(level * 255).astype(np.uint8))


def scale_colours(count: int = 9) -> list[str]:
    """Colours of the scale from 0 to `ERROR_TOP`, as CSS."""
    stops = _inferno(np.linspace(0, 255, count).round().astype(np.uint8)[None])[0]
    return [f"rgb({r} {g} {b})" for r, g, b in stops]


def _inferno(levels: np.ndarray) -> np.ndarray:
    return np.asarray(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO))[..., ::-1]
