"""Training crops from good photographs, which are darkened on the fly, and from synthetic night scenes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch.utils.data import Dataset

from reddit.config import DataConfig
from reddit.data.cache import PictureCache
from reddit.data.crops import Batch, Denoise, EndlessOrder, jittered, turned
from reddit.data.night import Night, grid_of, random_night, relight
from reddit.data.night_scenes import night_scene
from reddit.data.pairing import Pair
from reddit.image.geometry import thumbnail
from reddit.image.pixels import to_float
from reddit.image.read import list_images
from reddit.utils.errors import UserError
from reddit.utils.progress import progress

MARGIN = 16
"""Pixels around a crop that are darkened with it, so that smoothing and JPEG blocks cross its edge."""
NIGHT_SIZE = (400, 600)


class Twin(NamedTuple):
    """A crop, darkened and original, uint8 (H, W, 3), and a small version of the whole darkened picture."""

    low: np.ndarray
    high: np.ndarray
    overview: np.ndarray


def find_photos(folder: Path) -> list[Path]:
    """The pictures of a folder and its subfolders, sorted.

    Raises:
        UserError: the folder does not exist or holds no pictures.
    """
    if not folder.is_dir():
        raise UserError(f"data.photos: no folder {folder}; name a folder of good photographs")
    folders = {folder}
    for inside, names, _ in os.walk(folder, onerror=_unlisted):
        folders |= {Path(inside, name) for name in names}
    found = [path for inside in sorted(folders) for path in list_images(inside)]
    if not found:
        raise UserError(f"data.photos: {folder} holds no pictures")
    return found


def _unlisted(error: OSError) -> None:
    raise UserError(
        f"data.photos: cannot list {error.filename}: {error.strerror}; change its permissions, or name "
        "another folder"
    ) from error


def photo_twin(picture: np.ndarray, night: Night, box: tuple[slice, slice], rng: np.random.Generator) -> Twin:
    """Darken a part of a photograph, and a small version of the whole photograph with the same light."""
    height, width = picture.shape[:2]
    rows, columns = box
    # JPEG blocks start at multiples of 8 in the whole picture.
    top, left = (max(0, side.start - MARGIN) // 8 * 8 for side in box)
    wide = slice(top, rows.stop + MARGIN), slice(left, columns.stop + MARGIN)
    dark = relight(picture[wide], night, grid_of(height, width, *wide), rng)
    inner = dark[rows.start - top :, columns.start - left :]
    inner = inner[: rows.stop - rows.start, : columns.stop - columns.start]
    step = max(1, max(height, width) // 128)
    small = np.ascontiguousarray(picture[::step, ::step])
    overview = relight(small, night, grid_of(height, width, step=step), rng)
    return Twin(inner, picture[box], overview)


class PhotoCrops(Dataset["Batch | UserError"]):
    """Random crops of good photographs and their darkened versions; they depend only on (seed, position).

    Args:
        photos: files of good photographs; None: synthetic night scenes, whose target is the scene itself.
        config: crop size, flips and context settings.
        seed: seed of crops, flips, light and camera.
        denoise: D of equation 7; None: `denoised` equals `low`.
        cache: reads the photographs; None: one of its own, which keeps none in memory.
    """

    def __init__(
        self,
        photos: list[Path] | None,
        config: DataConfig,
        seed: int,
        denoise: Denoise | None = None,
        cache: PictureCache | None = None,
    ) -> None:
        self.photos = photos
        self.config = config
        self.seed = seed
        self.denoise = denoise
        self.cache = cache or PictureCache(0)

    def __len__(self) -> int:
        return len(self.photos) if self.photos is not None else 1000

    @property
    def in_memory(self) -> bool:
        return self.photos is None

    def order(self, seed: int, batch_size: int, batch_indices: range, done: int) -> EndlessOrder:
        return EndlessOrder(len(self), seed, batch_size, batch_indices, done)

    def fingerprints(self, quiet: bool = False) -> frozenset[str]:
        """The fingerprint of every photograph."""
        photos = progress(self.photos or [], "reading photographs", "picture", quiet=quiet)
        return frozenset(self.cache.facts_of(photo).fingerprint for photo in photos)

    def check_sizes(self) -> None:
        """Check that every photograph is at least as large as a crop.

        Raises:
            UserError: names the first that is smaller.
        """
        for photo in self.photos or []:
            self._check_size(photo, self.cache.facts_of(photo).size)

    def _check_size(self, photo: Path, size: tuple[int, int]) -> None:
        if min(size) < self.config.crop:
            raise UserError(
                f"{photo}: {size[1]}×{size[0]} pixels are too small for a crop of {self.config.crop}; lower "
                "data.crop, or remove the photograph"
            )

    def __getitem__(self, key: tuple[int, int]) -> Batch | UserError:
        """The crop at `(position, index)`: position in the whole run, index of the photograph."""
        position, index = key
        rng = np.random.default_rng([self.seed, position, 3])
        size = self.config.crop
        try:
            twin = self._photo(rng, index, size) if self.photos is not None else self._night(rng, size)
        except UserError as error:
            return error
        turns = rng.random(3) < 0.5
        low, high = (turned(p, turns, self.config) for p in (twin.low, twin.high))
        denoised = low if self.denoise is None else self.denoise(np.ascontiguousarray(low))
        small = turned(part_of(twin.overview, rng, self.config.context_window), turns, self.config)
        context = thumbnail(to_float(small)[None])[0]
        context = jittered(context, rng, self.config.context_gain)
        return Batch(low=to_float(low), high=to_float(high), denoised=to_float(denoised), context=context)

    def _photo(self, rng: np.random.Generator, index: int, size: int) -> Twin:
        assert self.photos is not None
        picture = self.cache.read(self.photos[index])
        height, width = picture.shape[:2]
        self._check_size(self.photos[index], (height, width))
        night = random_night(rng, (height / max(height, width), width / max(height, width)))
        top, left = int(rng.integers(height - size + 1)), int(rng.integers(width - size + 1))
        return photo_twin(picture, night, (slice(top, top + size), slice(left, left + size)), rng)

    def _night(self, rng: np.random.Generator, size: int) -> Twin:
        height, width = NIGHT_SIZE
        scene = night_scene(rng, height, width)
        top, left = int(rng.integers(height - size + 1)), int(rng.integers(width - size + 1))
        read = float(np.exp(rng.uniform(np.log(0.2), np.log(4.0))))
        quality = int(rng.integers(70, 97)) if rng.random() < 0.4 else None
        night = Night((1.0, 1.0, 1.0), (), 5000.0, read, quality=quality)
        return photo_twin(scene, night, (slice(top, top + size), slice(left, left + size)), rng)


def part_of(picture: np.ndarray, rng: np.random.Generator, smallest: float) -> np.ndarray:
    """A random part of a picture, between `smallest` and all of each side."""
    share, down, right = rng.uniform(smallest, 1), *rng.random(2)
    height, width = (max(1, round(share * n)) for n in picture.shape[:2])
    top, left = round(down * (picture.shape[0] - height)), round(right * (picture.shape[1] - width))
    return picture[top : top + height, left : left + width]


def photo_pairs(photos: list[Path] | None, count: int, seed: int) -> list[Pair]:
    """Validation pairs: whole photographs (or synthetic night scenes) and their darkened versions."""
    pairs = []
    cache = PictureCache(0)
    for number in range(count):
        rng = np.random.default_rng([seed, number, 4])
        if photos is None:
            high = night_scene(rng, *NIGHT_SIZE)
            night = Night((1.0, 1.0, 1.0), (), 5000.0, 1.0)
        else:
            high = cache.read(photos[number])
            longer = max(high.shape[:2])
            night = random_night(rng, (high.shape[0] / longer, high.shape[1] / longer))
        low = relight(high, night, grid_of(*high.shape[:2]), rng)
        name = f"night-{number}" if photos is None else photos[number].stem
        pairs.append(Pair(name, low, high))
    return pairs
