"""A hash of the pixels of a picture."""

from __future__ import annotations

import io
from hashlib import blake2b

from PIL import Image

STRIP = 1024
"""Rows that are converted at a time."""


def digest(image: Image.Image) -> bytes:
    """A hash of the pixels of an image, without a copy of all of them."""
    found = blake2b()
    for top in range(0, image.height, STRIP):
        found.update(image.crop((0, top, image.width, min(top + STRIP, image.height))).tobytes())
    return found.digest()


def digest_of(data: bytes) -> bytes:
    """The hash of the picture in a file."""
    with Image.open(io.BytesIO(data)) as image:
        return digest(image)
