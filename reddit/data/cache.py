"""Decoded pictures kept in memory, up to a limit."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from pathlib import Path

import numpy as np

from reddit.data.pairing import Picture
from reddit.image.read import read_uint8


class PictureCache:
    """Keeps what it is asked for first, and makes the rest anew each time.

    Training visits every picture equally often, so that throwing one out for another gains nothing.

    Args:
        limit: bytes that it may hold.
    """

    def __init__(self, limit: float = 0) -> None:
        self.limit = limit
        self.held = 0
        self.complete = True
        """Whether everything asked for so far found room."""
        self._arrays: dict[Hashable, np.ndarray] = {}

    def get(self, key: Hashable, make: Callable[[], np.ndarray]) -> np.ndarray:
        """The array of a key, made if it is not held."""
        array = self._arrays.get(key)
        if array is None:
            array = make()
            if self.held + array.nbytes <= self.limit:
                self._arrays[key] = array
                self.held += array.nbytes
            else:
                self.complete = False
        return array

    def read(self, picture: Picture) -> np.ndarray:
        """RGB uint8 (H, W, 3), from a file or from memory; errors as in `read_uint8`."""
        return self.get(picture, lambda: read_uint8(picture)) if isinstance(picture, Path) else picture

    def close(self) -> None:
        """Take in nothing more: the copies that worker processes have must not grow."""
        self.limit = self.held
