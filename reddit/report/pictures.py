"""Pictures inside a page: data URIs and before/after sliders."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from reddit.image.arrays import shrink
from reddit.image.write import encode

SHOWN_SIDE = 600
THUMBNAIL_SIDE = 200
JPEG_QUALITY = 88
SMALLEST_VIEW = 480
"""CSS pixels; the longer side of smaller pictures is enlarged to it."""


@dataclass(frozen=True)
class Shown:
    """One picture of a slider; `src` and `thumbnail` are data URIs, `thumbnail` may be empty."""

    label: str
    note: str
    src: str
    thumbnail: str


@dataclass(frozen=True)
class Slider:
    """Pictures of one scene; a divider compares two of them.

    Attributes:
        left, right: labels of the pictures that are shown first.
        width, height: CSS pixels at most.
    """

    name: str
    pictures: tuple[Shown, ...]
    left: str
    right: str
    width: int
    height: int


def slider(
    name: str,
    pictures: Mapping[str, np.ndarray],
    left: str,
    right: str,
    notes: Mapping[str, str] | None = None,
    thumbnails: bool = False,
) -> Slider:
    """A slider for pictures of one size.

    Args:
        pictures: uint8 RGB (H, W, 3) by label; shown as JPEG of at most `SHOWN_SIDE` pixels a side.
        left, right: two of the labels.
        notes: a caption by label.
    """
    shown = {label: shrink(picture, SHOWN_SIDE) for label, picture in pictures.items()}
    height, width = shown[right].shape[:2]
    scale = max(1.0, SMALLEST_VIEW / max(height, width))
    return Slider(
        name,
        tuple(
            Shown(
                label,
                (notes or {}).get(label, ""),
                data_uri(picture),
                data_uri(shrink(picture, THUMBNAIL_SIDE), 80) if thumbnails else "",
            )
            for label, picture in shown.items()
        ),
        left,
        right,
        round(width * scale),
        round(height * scale),
    )


def data_uri(picture: np.ndarray, quality: int = JPEG_QUALITY) -> str:
    """Uint8 RGB (H, W, 3) as a data URI."""
    return "data:image/jpeg;base64," + base64.b64encode(encode(picture, ".jpg", quality)).decode()
