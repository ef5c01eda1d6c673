"""Decoded pictures kept in memory, up to a limit, and beyond it on disk, mapped into memory."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from reddit.data.pairing import Picture
from reddit.image.pixels import fingerprint
from reddit.image.read import read_uint8
from reddit.utils.files import write_file


class Facts(NamedTuple):
    """(height, width) and fingerprint of a picture."""

    size: tuple[int, int]
    fingerprint: str


class OnDisk(NamedTuple):
    """An array in a file of its bytes alone."""

    path: Path
    dtype: np.dtype[np.generic]
    shape: tuple[int, ...]

    def mapped(self) -> np.ndarray | None:
        """The array, read from disk where and when it is used, and not to be written; None: it is gone.

        The file is opened at each call: open files would be too many, and could not be sent to workers.
        """
        try:
            with self.path.open("rb") as file:
                data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            return np.frombuffer(data, self.dtype).reshape(self.shape)
        except (OSError, ValueError):  # removed, or not of this size
            return None


class PictureCache:
    """Keeps the first pictures it reads in memory, up to a limit; the others on disk, or they are read again.

    Training uses every picture equally often, so replacing pictures would gain nothing.

    Args:
        limit: most bytes to hold in memory.
        folder: where the others are kept, decoded, under the fingerprint of their pixels; None: nowhere.
    """

    def __init__(self, limit: float = 0, folder: Path | None = None) -> None:
        self.limit = limit
        self.folder = folder
        self.held = 0
        self.facts: dict[Path, Facts] = {}
        """Size and fingerprint of every file read, also of pictures that are not kept."""
        self.stored: dict[Hashable, OnDisk] = {}
        """The arrays on disk."""
        self._arrays: dict[Hashable, np.ndarray] = {}

    def get(self, key: Hashable, make: Callable[[], np.ndarray]) -> np.ndarray:
        """The array of a key; computed with `make` if it is not in the cache.

        Raises:
            UserError: the disk is full or the folder cannot be written.
        """
        array = self._arrays.get(key)
        if array is None and key in self.stored:
            array = self.stored[key].mapped()
        if array is None:
            array = make()
            if self.held + array.nbytes <= self.limit:
                self._arrays[key] = array
                self.held += array.nbytes
            elif self.folder is not None:
                self.stored[key] = _store(array, self.folder)
        return array

    def holds(self, key: Hashable | np.ndarray) -> bool:
        """Whether the array of a key is in memory; True for a picture that was given as an array."""
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


def _store(array: np.ndarray, folder: Path) -> OnDisk:
    """Write an array, unless it lies there; several processes may write the same one."""
    stored = OnDisk(folder / f"{fingerprint(array)}.raw", array.dtype, array.shape)
    if stored.mapped() is None:
        write_file(stored.path, array.tofile)
    return stored


def _facts(picture: np.ndarray) -> Facts:
    return Facts((picture.shape[0], picture.shape[1]), fingerprint(picture))
