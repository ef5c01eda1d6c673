"""Large pictures: the brightness of a small copy, with the details of the full size.

A network has learnt light at the scale of its training pictures. In a picture several times as large, its
view is too narrow to tell a black hill from a dark room, and blotches appear. The small copy has none. Its
brightness and colour are carried over by a gain that follows the edges of the dark picture: the fast guided
filter (He and Sun 2015).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from reddit.image.arrays import shrink
from reddit.image.luminance import luminance
from reddit.image.pixels import to_planes

RADIUS = 6
"""Radius of the guided filter's windows, in pixels of the small copy."""
SMOOTHNESS = 0.02
"""Variance of log light below which a window counts as flat."""
FLOOR = 0.02
"""Added to values in [0, 1] before a ratio or a logarithm, so that black stays black."""


STRIP = 256
"""Rows that are computed at a time."""


def matched(
    rgb: np.ndarray, detailed: np.ndarray, small: np.ndarray, wanted: np.ndarray
) -> Iterator[tuple[int, np.ndarray]]:
    """Give an enhanced picture the brightness and the colour of its enhanced small copy.

    Args:
        rgb, detailed: the picture, dark and enhanced, RGB (H, W, 3) of one dtype.
        small: the small copy of `rgb`, (h, w, 3).
        wanted: the same, enhanced, (3, h, w) in [0, 1].

    Yields:
        (first row, rows (3, n, W) in [0, 1]), from top to bottom. The rows may be written into `detailed`.
    """
    shrunk = shrink(detailed, max(small.shape[:2]))
    gains = gain_map(_floats(small), _floats(shrunk), wanted.transpose(1, 2, 0))
    for top in range(0, len(rgb), STRIP):
        dark, bright = (_floats(colour[top : top + STRIP]) for colour in (rgb, detailed))
        yield top, gains.apply(bright, dark, top, len(rgb)).transpose(2, 0, 1)


def _floats(rgb: np.ndarray) -> np.ndarray:
    return to_planes(rgb).transpose(1, 2, 0)


@dataclass(frozen=True)
class GainMap:
    """`log gain = slope · log light + offset`, at each place of the small copy; see `gain_map`.

    Attributes:
        slope, offset: (h, w, 3).
        limits: the lowest and the highest log gain of the small copy.
    """

    slope: np.ndarray
    offset: np.ndarray
    limits: tuple[float, float]

    def apply(self, detailed: np.ndarray, dark: np.ndarray, top: int, height: int) -> np.ndarray:
        """Give rows of the enhanced picture the brightness of the small copy.

        Args:
            detailed, dark: the same rows, enhanced and not, (n, W, 3) in [0, 1].
            top: the first of these rows in the picture.
            height: rows of the whole picture.

        Returns:
            (n, W, 3) in [0, 1].
        """
        rows = np.arange(top, top + len(dark))
        slope, offset = (_enlarged(image, rows, height, dark.shape[1]) for image in (self.slope, self.offset))
        log_gain = np.clip(slope * _log_light(dark)[..., None] + offset, *self.limits)
        return np.clip((detailed + FLOOR) * np.exp(log_gain) - FLOOR, 0, 1)


def gain_map(dark: np.ndarray, detailed: np.ndarray, wanted: np.ndarray) -> GainMap:
    """The gain that turns `detailed` into `wanted`, as a locally linear function of the log light of `dark`.

    All are (h, w, 3) in [0, 1]: the small copies of the dark and of the enhanced picture, and the enhanced
    small copy.
    """
    guide = _log_light(dark)[..., None]
    log_gain = np.log((wanted + FLOOR) / (detailed + FLOOR))
    mean, mean_gain = _box(guide), _box(log_gain)
    slope = (_box(guide * log_gain) - mean * mean_gain) / (_box(guide * guide) - mean * mean + SMOOTHNESS)
    offset = mean_gain - slope * mean
    return GainMap(_box(slope), _box(offset), (float(log_gain.min()), float(log_gain.max())))


def _log_light(picture: np.ndarray) -> np.ndarray:
    return np.log(luminance(picture) + np.float32(FLOOR))


def _box(image: np.ndarray) -> np.ndarray:
    side = 2 * RADIUS + 1
    return cv2.blur(image, (side, side)).reshape(image.shape)


def _enlarged(image: np.ndarray, rows: np.ndarray, height: int, width: int) -> np.ndarray:
    """Some rows of a small image (h, w, 3), linearly enlarged to (height, width, 3)."""
    place = np.clip((rows + 0.5) * len(image) / height - 0.5, 0, len(image) - 1)
    above = np.minimum(place.astype(int), max(len(image) - 2, 0))
    below = np.minimum(above + 1, len(image) - 1)
    share = (place - above).astype(np.float32)[:, None, None]
    strip = (1 - share) * image[above] + share * image[below]
    return np.asarray(cv2.resize(strip, (width, len(rows)), interpolation=cv2.INTER_LINEAR))
