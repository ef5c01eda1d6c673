"""The data set `demo`: pictures that come with scikit-image, darkened by a camera model. No download."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import skimage.data

from reddit.data.darken import darken, random_camera
from reddit.data.layouts import Split
from reddit.data.pairing import Pair
from reddit.image.arrays import shrink
from reddit.image.read import read_uint8

# Split by picture, so no scene is in both. Grey pictures train texture and exposure, not colour.
PICTURES: dict[Split, tuple[str, ...]] = {
    "train": (
        "astronaut.png",
        "motorcycle_left.png",
        "rocket.jpg",
        "hubble_deep_field.jpg",
        "ihc.png",
        "retina.jpg",
        "color.png",
        "camera.png",
        "brick.png",
        "grass.png",
        "gravel.png",
        "coins.png",
        "moon.png",
    ),
    "test": ("chelsea.png", "coffee.png"),
}
EXPOSURES: dict[Split, int] = {"train": 6, "test": 4}
LONGEST_SIDE = 384


def demo_pairs(split: Split) -> list[Pair]:
    """The pairs of a split, in memory; the same for every seed of a run."""
    folder = Path(skimage.data.__file__).parent
    pairs = []
    for number, file in enumerate(PICTURES[split]):
        high = shrink(read_uint8(folder / file), LONGEST_SIDE)
        rng = np.random.default_rng([0 if split == "train" else 1, number])
        for exposure in range(EXPOSURES[split]):
            low = darken(high, random_camera(rng), rng)
            pairs.append(Pair(f"{Path(file).stem}-{exposure}", low, high))
    return pairs
