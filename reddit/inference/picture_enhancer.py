"""Enhancing arrays by any runtime: guard, tiles, strength, and the brightness of large pictures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from reddit.image.arrays import SYMMETRIES, shrink
from reddit.image.pixels import eight_bits, fingerprint, rgb_of, to_planes, write_back
from reddit.inference.guard import guarded
from reddit.inference.seeds import picture_seed
from reddit.inference.tiling import Tiling, fitted
from reddit.inference.two_scales import matched
from reddit.inference.warn import warn
from reddit.utils.errors import UserError

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from reddit.inference.settings import Settings

WHOLE_PIXELS = 1_500_000
"""Pictures with more pixels are processed in tiles."""
TILE_PIXELS = 1_250_000
"""Most pixels of a tile whose sides are fitted to the picture."""
TILE, OVERLAP, SMALLEST_TILE = 512, 64, 64

Strips = Iterable[tuple[int, np.ndarray]]
"""(first row, rows (3, h, W), float32 in [0, 1]), from top to bottom."""


@dataclass(frozen=True)
class _Job:
    """An array to enhance, with its own settings."""

    picture: np.ndarray
    noise_seed: int
    strength: float
    tiling: Tiling | None


class PictureEnhancer(ABC):
    """Enhances arrays by a network that a subclass runs.

    Attributes:
        steps: sampling steps.
    """

    steps: int

    @property
    @abstractmethod
    def guarded(self) -> bool:
        """Whether the model knows only dark pictures."""

    @property
    @abstractmethod
    def _local(self) -> bool:
        """Whether a pixel depends only on its neighbourhood and the thumbnail, so that tiles agree."""

    @property
    @abstractmethod
    def _scale(self) -> int:
        """Longest side of the pictures whose light the network has learnt; 0: any."""

    @property
    @abstractmethod
    def _overlap(self) -> int:
        """Pixels that neighbouring tiles share."""

    @property
    @abstractmethod
    def _multiple(self) -> int:
        """Tile positions are multiples of this."""

    def picture_settings(self) -> dict[str, int]:
        """What an exported file says, so that pictures can be enhanced without this class."""
        names = ("guarded", "_local", "_scale", "_overlap", "_multiple")
        return {name.strip("_"): int(getattr(self, name)) for name in names}

    @abstractmethod
    def _restored(
        self, rgb: np.ndarray, noise_seed: int, ensemble: int, tiling: Tiling | None, quiet: bool
    ) -> Strips:
        """The restored rows of (H, W, 3) of any dtype."""

    def _restored_together(
        self, rgbs: Sequence[np.ndarray], noise_seeds: Sequence[int], ensemble: int
    ) -> list[Strips]:
        """`_restored` of several arrays of one shape and dtype, without tiles."""
        pairs = zip(rgbs, noise_seeds, strict=True)
        return [self._restored(rgb, seed, ensemble, None, quiet=True) for rgb, seed in pairs]

    @property
    def _batch_pixels(self) -> int:
        """Pixels of equally large pictures or tiles that are restored together; 0: one by one."""
        return 0

    def enhance_array(self, array: np.ndarray, **settings: Unpack[Settings]) -> np.ndarray:
        """Enhance an array as `Enhancer.enhance` does, after `check_settings`."""
        return self.enhance_arrays([array], **settings)[0]

    def enhance_arrays(self, arrays: Sequence[np.ndarray], **settings: Unpack[Settings]) -> list[np.ndarray]:
        """`enhance_array` of arrays of one shape and dtype, several at a time where that is faster.

        The results are the same but for rounding.
        """
        results: list[np.ndarray] = []
        count = self.together(*arrays[0].shape[:2])
        for first in range(0, len(arrays), count):
            group = arrays[first : first + count]
            finishing = self.enhance_group(group, [settings.get("name")] * len(group), **settings)
            results += [finish() for finish in finishing]
        return results

    def together(self, height: int, width: int) -> int:
        """How many pictures of a size `enhance_group` should get at a time."""
        return max(1, self._batch_pixels // (height * width))

    def enhance_group(
        self, arrays: Sequence[np.ndarray], names: Sequence[str | None], **settings: Unpack[Settings]
    ) -> list[Callable[[], np.ndarray]]:
        """`enhance_array` of arrays of one shape and dtype that are restored together.

        Args:
            names: of the arrays, instead of `name`.

        Returns:
            For each array, a function that returns its result, or raises its error.
        """
        each: dict[str, Any] = dict(settings)
        ensemble, quiet = each.pop("ensemble", 1), each.pop("quiet", True)
        named = zip(arrays, names, strict=True)
        jobs = [self._job(array, **each | {"name": name}) for array, name in named]
        wholes = self._wholes(jobs, ensemble)
        return [partial(self._enhanced, job, ensemble, quiet, wholes.get(k)) for k, job in enumerate(jobs)]

    def _job(
        self,
        array: np.ndarray,
        *,
        seed: int = 0,
        strength: float = 1.0,
        guard: bool | None = None,
        tile: int | None = None,
        tile_overlap: int | None = None,
        same_noise: bool = False,
        name: str | None = None,
    ) -> _Job:
        """The settings of an array; warns where the picture or its tiles are not what they should be."""
        name = name or "the picture"
        tiling = self._tiling(array.shape[0], array.shape[1], tile, tile_overlap)
        share = guarded(array, name) if (self.guarded if guard is None else guard) else 1.0
        if tiling and share * strength and not self._local:
            why = "its network normalises over the whole tile: tiles may differ in brightness"
            warn(f"{name} is processed in tiles, but {why}")
        noise_seed = seed if same_noise else picture_seed(seed, fingerprint(eight_bits(rgb_of(array))))
        return _Job(array, noise_seed, strength * share, tiling)

    def check_settings(
        self,
        *,
        strength: float = 1.0,
        tile: int | None = None,
        tile_overlap: int | None = None,
        ensemble: int = 1,
        **_: object,
    ) -> None:
        """Check the settings of `enhance`; others than these take every value of their type.

        Raises:
            UserError: a setting is out of range.
        """
        if not 0 <= strength <= 1:
            raise UserError(f"strength {strength:g}: must be between 0 (the input) and 1 (the full result)")
        if not 1 <= ensemble <= SYMMETRIES:
            raise UserError(f"ensemble {ensemble}: must be between 1 and {SYMMETRIES} flips and rotations")
        if tile and tile < SMALLEST_TILE:
            raise UserError(f"tile {tile}: must be at least {SMALLEST_TILE} pixels, or 0 for no tiles")
        self._tiling_of(tile or TILE, tile_overlap)

    def _wholes(self, jobs: Sequence[_Job], ensemble: int) -> dict[int, Strips]:
        """The restored rows of jobs without tiles by their place; {} if that fails, as each alone may not."""
        batched = [k for k, job in enumerate(jobs) if job.strength and job.tiling is None]
        if len(batched) > 1:
            rgbs = [rgb_of(jobs[k].picture) for k in batched]
            with suppress(UserError), _memory_remedy(jobs[0].picture):
                strips = self._restored_together(rgbs, [jobs[k].noise_seed for k in batched], ensemble)
                return dict(zip(batched, strips, strict=True))
        return {}

    def _enhanced(self, job: _Job, ensemble: int, quiet: bool, strips: Strips | None = None) -> np.ndarray:
        """The result of a job; `strips` are its restored rows, where they are known."""
        picture, noise_seed, strength = job.picture, job.noise_seed, job.strength
        result = picture.copy()
        if strength == 0:
            return result
        rgb = rgb_of(picture)
        with _memory_remedy(picture):
            if strips is None:
                strips = self._restored(rgb, noise_seed, ensemble, job.tiling, quiet)
            if max(rgb.shape[:2]) > self._scale > 0:
                strips = self._matched(strips, rgb, result, noise_seed, ensemble)
            for top, restored in strips:
                rows = slice(top, top + restored.shape[1])
                if strength < 1:
                    low = to_planes(rgb[rows])
                    restored = low + np.float32(strength) * (restored - low)
                write_back(restored, result[rows])
        return result

    def _matched(
        self, strips: Strips, rgb: np.ndarray, result: np.ndarray, noise_seed: int, ensemble: int
    ) -> Strips:
        """The rows of a large picture, with the brightness of its small copy; `result` is overwritten."""
        for top, restored in strips:
            write_back(restored, result[top : top + restored.shape[1]])
        small = shrink(rgb, self._scale)
        ((_, wanted),) = self._restored(small, noise_seed, ensemble, None, quiet=True)
        return matched(rgb, rgb_of(result), small, wanted)

    def _tiling(self, height: int, width: int, tile: int | None, overlap: int | None) -> Tiling | None:
        """The tiles of a picture of this size; None: no tiles."""
        if tile is None:
            if height * width <= WHOLE_PIXELS:
                return None
            if self._local:
                overlap = self._overlap if overlap is None else overlap
                return fitted(height, width, overlap, self._multiple, TILE_PIXELS)
            tile = TILE
        return None if tile == 0 or max(height, width) <= tile else self._tiling_of(tile, overlap)

    def _tiling_of(self, tile: int, overlap: int | None) -> Tiling:
        overlap = min(self._overlap, tile // 4) if overlap is None else overlap
        return Tiling(tile, overlap, self._multiple)


@contextmanager
def _memory_remedy(picture: np.ndarray) -> Iterator[None]:
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "memory" not in str(error).lower():
            raise
        size = f"{picture.shape[1]}×{picture.shape[0]}"
        raise UserError(
            f"too little memory for a picture of {size}: set a smaller tile (--tile 256)"
        ) from error
