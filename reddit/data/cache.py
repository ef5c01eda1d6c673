"""Decoded pictures kept in memory, up to a limit."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from reddit.data.pairing import Picture
from reddit.image.pixels import fingerprint
from reddit.image.read import read_uint8


class Facts(NamedTuple):
    """(height, width) and fingerprint of a picture."""

    size: tuple[int, int]
    fingerprint: str


class PictureCache:
    """Keeps the first pictures it reads, up to a limit; the others are read again each time.

    Training uses every picture equally often, so replacing pictures would gain nothing.

    Args:
        limit: most bytes to hold.
    """

    def __init__(self, limit: float = 0) -> None:
        self.limit = limit
        self.held = 0
        self.facts: dict[Path, Facts] = {}
        """Size and fingerprint of every file read, also of pictures that are not kept."""
        self._arrays: dict[Hashable, np.ndarray] = {}

    def get(self, key: Hashable, make: Callable[[], np.ndarray]) -> np.ndarray:
        """The array of a key; computed with `make` if it is not in the cache."""
        array = self._arrays.get(key)
        if array is None:
            array = make()
            if self.held + array.nbytes <= self.limit:
                self._arrays[key] = array
                self.held += array.nbytes
        return array

    def holds(self, key: Hashable | np.ndarray) -> bool:
        """Whether the array of a key is in the cache; True for a picture in memory."""
        return isinstance(key, np.ndarray) or key in self._arrays

    def read(self, picture: Picture) -> np.ndarray:
        """RGB uint8 (H, W, 3), from a file or from memory; errors as in `read_uint8`."""
        return self.get(picture, lambda: self._decoded(picture)) if isinstance(picture, Path) else picture

    def facts_of(self, picture: Picture) -> Facts:
        """Size and fingerprint; reads a file at most once. Errors as in `read_uint8`."""
        if isinstance(picture, np.ndarray):
            return _facts(picture)
        if picture not in self.facts:
            self.read(picture)
        return self.facts[picture]

    def _decoded(self, path: Path) -> np.ndarray:
        array = read_uint8(path)
        if path not in self.facts:
            self.facts[path] = _facts(array)
        return array

    def close(self) -> None:
        """Keep no more pictures, so that the copies in worker processes do not grow."""
        self.limit = self.held


def _facts(picture: np.ndarray) -> Facts:
    return Facts((picture.shape[0], picture.shape[1]), fingerprint(picture))
