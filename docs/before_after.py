#!/usr/bin/env python3
"""Draw docs/before_after.jpg: dark pictures, and what the default weights make of them in one step.

The photographs come with scikit-image and were not used for training. Most are darkened here by a field of
light and a camera model.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import skimage.data

import reddit
from reddit.data.night import Lamp, Night, grid_of, relight
from reddit.image.arrays import shrink
from reddit.image.read import read_uint8
from reddit.image.write import encode
from reddit.utils.files import write_bytes

WHITE, WARM = (1.0, 1.0, 1.0), (1.15, 1.0, 0.75)
WIDTH, HEIGHT, COLUMNS = 300, 225, 4
LONGEST = 600
PHOTOGRAPHS = Path(skimage.data.__file__).parent


def main() -> None:
    lows = [face(), paper(), window(), garage(), launch_pad(), neon(), cat(), noise()]
    results = [reddit.enhance(low, guard=False) for low in lows]
    rows = []
    for first in range(0, len(lows), COLUMNS):
        for pictures in (lows, results):
            rows.append(np.hstack([_fit(picture) for picture in pictures[first : first + COLUMNS]]))
    write_bytes(Path(__file__).with_name("before_after.jpg"), encode(np.vstack(rows), ".jpg", quality=88))


def face() -> np.ndarray:
    """A face lit by a flash in a dark room."""
    return _dark("astronaut.png", 0.02, Lamp("flash", (0.2, 0.45), 0.3, 0.0, 0.8, WHITE))


def paper() -> np.ndarray:
    """A sheet of paper under a lamp."""
    return _dark("page.png", 0.03, Lamp("lamp", (0.15, 0.3), 0.2, 0.0, 0.9, WARM))


def window() -> np.ndarray:
    """A table beside a bright window."""
    return _dark("coffee.png", 0.015, Lamp("window", (0.1, 0.75), 0.22, 0.4, 1.0, WHITE))


def garage() -> np.ndarray:
    """A motorcycle in one lamp's light."""
    return _dark("motorcycle_left.png", 0.02, Lamp("lamp", (0.3, 0.25), 0.12, 0.0, 0.7, WARM))


def launch_pad() -> np.ndarray:
    """Floodlights at dusk, as photographed."""
    return _photograph("rocket.jpg")


def neon() -> np.ndarray:
    """A neon sign on a brick wall at night."""
    low = _dark("brick.png", 0.01)
    tube = np.zeros_like(low)
    place = (low.shape[1] // 8, low.shape[0] // 2)
    cv2.putText(tube, "OPEN", place, cv2.FONT_HERSHEY_SIMPLEX, 4.5, (255, 60, 130), 9, cv2.LINE_AA)
    glow, core = (cv2.GaussianBlur(tube.astype(np.float32), (0, 0), radius) for radius in (24, 1.5))
    return np.rint(np.clip(low + 0.6 * glow + core, 0, 255)).astype(np.uint8)


def cat() -> np.ndarray:
    """An evenly dark room."""
    return _dark("chelsea.png", 0.012)


def noise() -> np.ndarray:
    """Far too little light: 25 photo-electrons at white."""
    return _dark("coffee.png", 0.05, full_well=500)


def _photograph(name: str) -> np.ndarray:
    return shrink(read_uint8(PHOTOGRAPHS / name), LONGEST)


def _dark(name: str, ambient: float, *lamps: Lamp, full_well: float = 8000) -> np.ndarray:
    picture = _photograph(name)
    night = Night((ambient, ambient, ambient), lamps, full_well, read_noise=2.0)
    return relight(picture, night, grid_of(*picture.shape[:2]), np.random.default_rng(0))


def _fit(picture: np.ndarray) -> np.ndarray:
    """The middle of a picture, at the size of a cell."""
    height, width = picture.shape[:2]
    scale = max(WIDTH / width, HEIGHT / height)
    resized = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    top, left = (resized.shape[0] - HEIGHT) // 2, (resized.shape[1] - WIDTH) // 2
    return resized[top : top + HEIGHT, left : left + WIDTH]


if __name__ == "__main__":
    main()
