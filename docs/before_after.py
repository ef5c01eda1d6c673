#!/usr/bin/env python3
"""Draw docs/before_after.jpg: the demo's dark test pictures, and what the shipped weights make of them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

import reddit
from reddit.data import load_picture
from reddit.data.demo import demo_pairs
from reddit.image.write import encode
from reddit.utils.files import write_bytes

HEIGHT, COLUMNS = 210, 4


def main() -> None:
    pairs = demo_pairs("test")
    chosen = pairs[:: max(1, len(pairs) // COLUMNS)][:COLUMNS]
    lows = [load_picture(pair.low) for pair in chosen]
    rows = [lows, [reddit.enhance(low) for low in lows]]
    sheet = np.concatenate([np.concatenate([_fit(picture) for picture in row], axis=1) for row in rows])
    write_bytes(Path(__file__).with_name("before_after.jpg"), encode(sheet, ".jpg", quality=85))


def _fit(picture: np.ndarray) -> np.ndarray:
    """The middle square of a picture, at the sheet's size."""
    side = min(picture.shape[:2])
    top, left = ((length - side) // 2 for length in picture.shape[:2])
    return cv2.resize(
        picture[top : top + side, left : left + side], (HEIGHT, HEIGHT), interpolation=cv2.INTER_AREA
    )


if __name__ == "__main__":
    main()
