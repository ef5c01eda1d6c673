"""Drawn night scenes, which an enhancer must leave as they are: stars, lights on black, nothing."""

from __future__ import annotations

import cv2
import numpy as np


def night_scene(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Draw a scene that is meant to be dark, uint8 (H, W, 3): a sky with stars, lights on black, or nothing.

    An enhancer must leave it as it is.
    """
    kind = rng.choice(["stars", "stars", "lights", "flat"])
    top, bottom = rng.uniform(0, 12, 3), rng.uniform(0, 12, 3)
    if kind == "flat":
        bottom = top
    fall = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    scene = np.broadcast_to(top * (1 - fall) + bottom * fall, (height, width, 3)).astype(np.float32)
    if kind == "stars":
        scene = scene + _stars(rng, height, width)
    elif kind == "lights":
        scene = scene + _lights(rng, height, width)
    return np.rint(np.clip(scene, 0, 255)).astype(np.uint8)


def _stars(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    stars = np.zeros((height, width, 3), np.float32)
    count = int(height * width * np.exp(rng.uniform(np.log(2e-4), np.log(4e-3))))
    rows, columns = rng.integers(0, height, count), rng.integers(0, width, count)
    bright = 255 * rng.power(0.5, (count, 1)) * rng.uniform(0.7, 1.0, (count, 3))
    stars[rows, columns] = bright
    blur = rng.uniform(0.3, 0.9)
    return cv2.GaussianBlur(stars, (0, 0), blur) * np.float32(1 + 4 * blur**2)


def _lights(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Neon tubes, lamps and the moon, with their glow."""
    lights = np.zeros((height, width, 3), np.float32)
    for _ in range(rng.integers(1, 6)):
        colour = tuple(float(c) for c in 255 * rng.power(1.5, 3))
        centre = (int(rng.integers(0, width)), int(rng.integers(0, height)))
        radius = int(rng.uniform(0.01, 0.25) * min(height, width)) + 1
        thick = int(rng.choice([-1, 2, 4, 8]))
        if rng.random() < 0.5:
            cv2.circle(lights, centre, radius, colour, thick, cv2.LINE_AA)
        else:
            end = (int(rng.integers(0, width)), int(rng.integers(0, height)))
            cv2.line(lights, centre, end, colour, max(2, thick), cv2.LINE_AA)
    glow = cv2.GaussianBlur(lights, (0, 0), float(rng.uniform(3, 20)))
    return np.maximum(lights, glow * np.float32(rng.uniform(0.2, 0.8)))
