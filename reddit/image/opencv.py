"""Decoding by OpenCV, for the 16-bit files that Pillow cannot hold."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

_LOGGING: Any = getattr(cv2.utils, "logging", cv2)  # OpenCV 4.8 has its functions at the top
_SILENT = 0


def decoded(data: bytes) -> np.ndarray | None:
    """The pixels of a file, (H, W) or (H, W, C), RGB with alpha last; None if OpenCV cannot read it.

    OpenCV's log lines about what is damaged are left out.
    """
    level = _LOGGING.getLogLevel()
    _LOGGING.setLogLevel(_SILENT)
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    finally:
        _LOGGING.setLogLevel(level)
    if pixels is None or pixels.ndim == 2:
        return pixels
    for strip in np.array_split(pixels, max(1, len(pixels) // 1024)):  # in place, to save memory
        strip[..., :3] = strip[..., 2::-1].copy()
    return np.asarray(pixels)
