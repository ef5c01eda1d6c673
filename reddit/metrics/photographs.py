"""Measures of an enhanced photograph: clipping, bright detail, shadows, detail, colour, grain, stability.

Pictures are RGB uint8 (H, W, 3); Y is OpenCV's grey (ITU-R BT.601). Only the measures with `_against_gt` in
their name need a ground truth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import cv2
import numpy as np

Enhance = Callable[[np.ndarray], np.ndarray]
"""RGB uint8 (H, W, 3) → the enhanced picture, RGB uint8 (H, W, 3)."""

CLIPPED, WAS_BELOW = 250, 235
BRIGHT, BRIGHT_SHARE, ENOUGH = 80, 80.0, 500
SHADOW = 40
WINDOW, STEP, FRAMES = 384, 8, 8


def grey(picture: np.ndarray) -> np.ndarray:
    """Y, uint8 (H, W)."""
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY))


def newly_clipped(low: np.ndarray, result: np.ndarray) -> float:
    """The share of pixels in [0, 1] whose Y is at least 250 in the result and below 235 in the input."""
    return float(np.mean((grey(result) >= CLIPPED) & (grey(low) < WAS_BELOW)))


def newly_clipped_any_channel(low: np.ndarray, result: np.ndarray) -> float:
    """The same for the brightest channel of each pixel."""
    return float(np.mean((result.max(axis=2) >= CLIPPED) & (low.max(axis=2) < WAS_BELOW)))


def bright_detail(low: np.ndarray, result: np.ndarray) -> float:
    """Standard deviation of the Laplacian of Y in bright areas of the input: result divided by input.

    Bright means Y of at least 80 and in the brightest fifth. NaN with fewer than 500 such pixels.
    """
    y = grey(low)
    bright = (y >= BRIGHT) & (y >= np.percentile(y, BRIGHT_SHARE))
    if bright.sum() < ENOUGH:
        return float("nan")
    before, after = (_laplacian(p)[bright].std() for p in (low, result))
    return float(after / before) if before > 0 else float("nan")


def shadow_lift(low: np.ndarray, result: np.ndarray) -> float:
    """Median Y of the result minus that of the input, where the input's Y is below 40; NaN if nowhere."""
    dark = grey(low) < SHADOW
    if not dark.any():
        return float("nan")
    return float(np.median(grey(result)[dark]) - np.median(grey(low)[dark]))


def detail_against_gt(result: np.ndarray, gt: np.ndarray) -> float:
    """Standard deviation of the Laplacian of Y: result divided by ground truth."""
    return float(_laplacian(result).std() / _laplacian(gt).std())


def saturation_against_gt(result: np.ndarray, gt: np.ndarray) -> float:
    """Mean chroma in CIELAB: result divided by ground truth."""
    return float(_chroma(result).mean() / _chroma(gt).mean())


def grain_against_gt(result: np.ndarray, gt: np.ndarray) -> float:
    """Local noise in flat areas of the ground truth: result divided by ground truth; NaN without flat areas.

    Flat means a range of at most 2 levels in 3×3 pixels. Noise is the mean standard deviation of Y in 3×3
    neighbourhoods, at least 0.25 for the ground truth.
    """
    y = grey(gt)
    kernel = np.ones((3, 3), np.uint8)
    flat = cv2.dilate(y, kernel).astype(int) - cv2.erode(y, kernel) <= 2
    if flat.sum() < ENOUGH:
        return float("nan")
    before = max(float(_local_deviation(y)[flat].mean()), 0.25)  # rounding noise, if the area is constant
    return float(_local_deviation(grey(result))[flat].mean()) / before


def shift_jump(picture: np.ndarray, enhance: Enhance) -> float:
    """Largest change between neighbouring frames, in grey levels, of the mean Y of their common area.

    A window of 384×384 pixels (or what fits) moves by 8 pixels per frame, for 8 frames. Each frame is
    enhanced separately.
    """
    height, width = picture.shape[:2]
    side = min(WINDOW, height, width - STEP * (FRAMES - 1))
    top = (height - side) // 2
    left = (width - side - STEP * (FRAMES - 1)) // 2
    frames = []
    for k in range(FRAMES):
        window = picture[top : top + side, left + k * STEP : left + k * STEP + side]
        frames.append(grey(enhance(np.ascontiguousarray(window))).astype(np.float64))
    jumps = [abs(a[:, STEP:].mean() - b[:, :-STEP].mean()) for a, b in pairwise(frames)]
    return float(max(jumps))


def symmetry_jump(picture: np.ndarray, enhance: Enhance) -> float:
    """Largest difference in mean Y, in grey levels, among the 8 flips and rotations of a picture."""
    means = [float(grey(enhance(turned)).mean()) for turned in symmetries(picture)]
    return max(means) - min(means)


def symmetries(picture: np.ndarray) -> Iterator[np.ndarray]:
    """The 8 flips and rotations, the picture itself first."""
    for mirrored in (picture, picture[:, ::-1]):
        for turns in range(4):
            yield np.ascontiguousarray(np.rot90(mirrored, turns))


def halo(enhance: Enhance, wall: int = 12, disc: int = 220) -> float:
    """Mean Y near a bright disc on a uniform dark wall, divided by that far from it, after enhancing."""
    picture, distance = _disc_scene(wall, disc)
    result = grey(enhance(picture)).astype(np.float64)
    near = result[(distance > 64) & (distance < 140)].mean()
    far = result[distance > 200].mean()
    return float(near / max(far, 1.0))


def _disc_scene(wall: int, disc: int) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = np.mgrid[:400, :600].astype(np.float32)
    distance = np.hypot(columns - 300, rows - 200)
    picture = np.where((distance < 60)[..., None], disc, wall).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(picture, (400, 600, 3))), distance


def _laplacian(picture: np.ndarray) -> np.ndarray:
    return np.asarray(cv2.Laplacian(grey(picture), cv2.CV_64F))


def _chroma(picture: np.ndarray) -> np.ndarray:
    lab = cv2.cvtColor(np.ascontiguousarray(picture).astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    return np.hypot(lab[..., 1], lab[..., 2])


def _local_deviation(y: np.ndarray) -> np.ndarray:
    y = y.astype(np.float64)
    mean, square = cv2.blur(y, (3, 3)), cv2.blur(y * y, (3, 3))
    return np.sqrt(np.maximum(square - mean * mean, 0))
