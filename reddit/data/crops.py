"""Training crops, and their order, which is the same after a resume."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Iterator
from pathlib import Path
from typing import TypedDict, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from reddit.config import DataConfig
from reddit.data.cache import PictureCache
from reddit.data.pairing import Pair
from reddit.image.arrays import THUMBNAIL
from reddit.image.geometry import thumbnail
from reddit.image.pixels import to_float
from reddit.utils.errors import UserError
from reddit.utils.progress import progress

T = TypeVar("T")
Denoise = Callable[[np.ndarray], np.ndarray]
THUMBNAIL_BYTES = 4 * 3 * THUMBNAIL**2


class Batch(TypedDict):
    """Crops of one step, (B, 3, crop, crop) in [0, 1]; `denoised` is D(y) of equation 7.

    `context` is the thumbnail of the whole low picture, (B, 3, 64, 64) in [0, 1].
    """

    low: Tensor
    high: Tensor
    denoised: Tensor
    context: Tensor


class TrainingCrops(Dataset["Batch | UserError"]):
    """Random paired crops and flips. They depend only on (seed, position), so a resume gives the same ones.

    Args:
        pairs: the pairs to crop from.
        config: crop size and flips.
        seed: seed of crops and flips.
        denoise: D of equation 7, uint8 (H, W, 3) → the same; None: `denoised` equals `low`.
        cache: decoded and denoised pictures.

    Raises:
        UserError: a picture is smaller than a crop.
    """

    def __init__(
        self,
        pairs: list[Pair],
        config: DataConfig,
        seed: int,
        denoise: Denoise | None = None,
        cache: PictureCache | None = None,
    ) -> None:
        self.pairs = pairs
        self.config = config
        self.seed = seed
        self.denoise = denoise
        self.cache = cache if cache is not None else PictureCache(config.memory_gb * 1e9)

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def in_memory(self) -> bool:
        return all(self.cache.holds(key) for pair in self.pairs for key in self._sources(pair))

    def order(self, seed: int, batch_size: int, batch_indices: range, done: int) -> EndlessOrder:
        return EndlessOrder(len(self), seed, batch_size, batch_indices, done)

    def prepare(self, quiet: bool = False) -> None:
        """Fill the cache, up to its limit."""
        for index in progress(range(len(self)), "reading pictures", "pair", quiet=quiet):
            self._pictures(index)

    def keep(self, pair: Pair, low: np.ndarray) -> None:
        """Put the thumbnail and D(y) of a low picture into the cache."""
        self._context(pair, low)
        self._denoised(pair, low)

    def missing(self) -> int:
        """Bytes that crops need and the cache does not hold."""
        total = 0
        for pair in self.pairs:
            height, width = self.cache.facts_of(pair.low).size
            total += sum(3 * height * width for key in self._sources(pair) if not self.cache.holds(key))
            total += 0 if self.cache.holds(_made(pair, "context")) else THUMBNAIL_BYTES
        return total

    def check_sizes(self) -> None:
        """Check that every picture is at least as large as a crop.

        Raises:
            UserError: names the first that is smaller.
        """
        for pair in self.pairs:
            self._check_size(pair, self.cache.facts_of(pair.low).size)

    def fingerprints(self) -> frozenset[str]:
        """The fingerprints of every low and high picture."""
        pictures = [picture for pair in self.pairs for picture in (pair.low, pair.high)]
        return frozenset(self.cache.facts_of(picture).fingerprint for picture in pictures)

    def _check_size(self, pair: Pair, size: tuple[int, int]) -> None:
        if min(size) < self.config.crop:
            raise UserError(
                f"pair {pair.name}: {size[1]}×{size[0]} pixels are too small for a crop of "
                f"{self.config.crop}; lower data.crop"
            )

    def _pictures(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Low, high and denoised low, uint8 (H, W, 3), and the low's thumbnail, float32 (64, 64, 3)."""
        pair = self.pairs[index]
        low, high = self.cache.read(pair.low), self.cache.read(pair.high)
        self._check_size(pair, (low.shape[0], low.shape[1]))
        return low, high, self._denoised(pair, low), self._context(pair, low)

    def _sources(self, pair: Pair) -> list[Hashable | np.ndarray]:
        """The cache keys of the pictures that a crop is cut from."""
        denoised = [_made(pair, "denoised")] if self.denoise is not None else []
        return [pair.low, pair.high, *denoised]

    def _context(self, pair: Pair, low: np.ndarray) -> np.ndarray:
        return self.cache.get(_made(pair, "context"), lambda: _thumbnail(low))

    def _denoised(self, pair: Pair, low: np.ndarray) -> np.ndarray:
        denoise = self.denoise
        return low if denoise is None else self.cache.get(_made(pair, "denoised"), lambda: denoise(low))

    def __getitem__(self, key: tuple[int, int]) -> Batch | UserError:
        """The crop at `(position, index)`: position in the whole run, index of the pair.

        An unreadable picture is returned as an error, because an exception in a worker process would reach
        the user with a traceback.
        """
        position, index = key
        try:
            *pictures, context = self._pictures(index)
        except UserError as error:
            return error
        rng = np.random.default_rng([self.seed, position])
        size, (height, width) = self.config.crop, pictures[0].shape[:2]
        top, left = rng.integers(height - size + 1), rng.integers(width - size + 1)
        turns = rng.random(3) < 0.5
        gain = 2.0 ** rng.uniform(-self.config.gain, self.config.gain)
        window = rng.uniform(self.config.context_window, 1), *rng.random(2)

        low, high, denoised = (
            to_float(turned(p[top : top + size, left : left + size], turns, self.config)) for p in pictures
        )
        seen = turned(_window(context, *window), turns, self.config)
        small = torch.from_numpy(seen.transpose(2, 0, 1).copy())
        low, denoised, small = ((image * gain).clamp(max=1) for image in (low, denoised, small))
        small = jittered(small, rng, self.config.context_gain)
        return {"low": low, "high": high, "denoised": denoised, "context": thumbnail(small[None])[0]}


def turned(picture: np.ndarray, turns: np.ndarray, config: DataConfig) -> np.ndarray:
    """Flip and transpose a picture (H, W, C) by three booleans, where the configuration enables it."""
    if turns[0] and config.horizontal_flip:
        picture = picture[:, ::-1]
    if turns[1] and config.vertical_flip:
        picture = picture[::-1]
    if turns[2] and config.transpose:
        picture = picture.transpose(1, 0, 2)
    return picture


def jittered(context: Tensor, rng: np.random.Generator, stops: float) -> Tensor:
    """Make a thumbnail in [0, 1] randomly darker or brighter by up to `stops`; 0: unchanged."""
    return (context * 2.0 ** rng.uniform(-stops, stops)).clamp(max=1) if stops else context


def _made(pair: Pair, what: str) -> Hashable:
    """The cache key of something computed from a low picture; names are unique only within a set."""
    return what, pair.low if isinstance(pair.low, Path) else pair.name


def _thumbnail(low: np.ndarray) -> np.ndarray:
    return thumbnail(to_float(low)[None])[0].permute(1, 2, 0).numpy()


def _window(context: np.ndarray, share: float, down: float, right: float) -> np.ndarray:
    """A square part of a thumbnail, `share` of its side; `down` and `right` in [0, 1] give its place."""
    side = max(1, round(share * len(context)))
    top, left = round(down * (len(context) - side)), round(right * (len(context) - side))
    return context[top : top + side, left : left + side]


class EndlessOrder(Sampler[tuple[int, int]]):
    """An endless sequence of (position, index) from an iteration on; each epoch is a new permutation.

    Args:
        length: pairs in an epoch.
        seed: seed of the permutations.
        batch_size: positions per iteration, over all processes.
        batch_indices: which of them to yield; default all.
        done: iterations already done.
    """

    def __init__(
        self, length: int, seed: int, batch_size: int = 1, batch_indices: range | None = None, done: int = 0
    ) -> None:
        self.length, self.seed, self.batch_size, self.done = length, seed, batch_size, done
        self.batch_indices = batch_indices if batch_indices is not None else range(batch_size)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        known, order = -1, np.empty(0, int)
        for iteration in itertools.count(self.done):
            for index in self.batch_indices:
                position = iteration * self.batch_size + index
                epoch, offset = divmod(position, self.length)
                if epoch != known:
                    known, order = epoch, np.random.default_rng([self.seed, epoch]).permutation(self.length)
                yield position, int(order[offset])
