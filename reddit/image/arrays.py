"""Small copies of pictures, and their flips and turns."""

from __future__ import annotations

import cv2
import numpy as np

THUMBNAIL = 64
"""Side of the thumbnail that some networks look at."""
SYMMETRIES = 8
"""Flips and quarter turns of a square, numbered as by `reddit.image.geometry.turn`."""


def shrink(picture: np.ndarray, longest: int) -> np.ndarray:
    """Average an array (H, W) or (H, W, C) down so that its longer side is at most `longest`."""
    height, width = picture.shape[:2]
    scale = longest / max(height, width)
    if scale >= 1:
        return picture
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    if picture.dtype == np.float16:  # which OpenCV does not average
        picture = picture.astype(np.float32)
    picture = np.ascontiguousarray(picture)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))


def turned(image: np.ndarray, number: int) -> np.ndarray:
    """Symmetry `number`, 0 to 7, of (…, H, W): bit 0 flips columns, bit 1 flips rows, bit 2 transposes."""
    image = image[..., :: -1 if number & 2 else 1, :: -1 if number & 1 else 1]
    return image.swapaxes(-1, -2) if number & 4 else image


def turned_back(image: np.ndarray, number: int) -> np.ndarray:
    """Undo `turned`."""
    image = image.swapaxes(-1, -2) if number & 4 else image
    return image[..., :: -1 if number & 2 else 1, :: -1 if number & 1 else 1]
