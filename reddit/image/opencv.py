"""Decoding by OpenCV, for the 16-bit files that Pillow cannot hold."""

from __future__ import annotations

import cv2
import numpy as np


def decoded(data: bytes) -> np.ndarray | None:
    """The pixels of a file, (H, W) or (H, W, C), RGB with alpha last; None if OpenCV cannot read it.

    OpenCV's log lines about what is damaged are left out.
    """
    logging = cv2.utils.logging
    level = logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    finally:
        logging.setLogLevel(level)
    if pixels is None or pixels.ndim == 2:
        return pixels
    for strip in np.array_split(
        pixels, max(1, len(pixels) // 1024)
    ):  # in place: big pictures take much memory
        strip[..., :3] = strip[..., 2::-1].copy()
    return np.asarray(pixels)
