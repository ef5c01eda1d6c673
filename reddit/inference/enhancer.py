"""Enhancing pictures of any size."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, overload

import numpy as np
import torch
from torch import Tensor

from reddit.checkpoint.format import CheckpointInfo
from reddit.data import fingerprint
from reddit.diffusion import Denoiser
from reddit.image.geometry import SYMMETRIES, shrink
from reddit.image.luminance import DARK, fade, mean_luminance
from reddit.image.pixels import eight_bits, rgb_of, to_tensor, white, write_back
from reddit.inference.inputs import Kind, Picture, Settings, arrays_of
from reddit.inference.sampling import picture_seed, restore, restore_rows
from reddit.inference.tiling import Span, Tiling, fitted
from reddit.inference.two_scales import matched
from reddit.utils.device import to_device_of
from reddit.utils.errors import UserError
from reddit.utils.progress import progress

if TYPE_CHECKING:
    from typing_extensions import Unpack

WHOLE_PIXELS = 1_500_000
"""Pictures with more pixels are processed in tiles."""
TILE_PIXELS = 1_250_000
"""Of the tiles that are fitted to a picture, at most."""
TILE, OVERLAP, SMALLEST_TILE = 512, 64, 64


class EnhanceWarning(UserWarning):
    """A picture was enhanced less or not at all, or its tiles may differ; one line with the reason."""


@dataclass(frozen=True, repr=False)
class Enhancer:
    """A loaded model.

    Attributes:
        steps: sampling steps.
        precision: precision of the network; None: that of its training for 8-bit pictures, and fp32 for
            16-bit and float ones, whose levels bf16 would merge.
    """

    denoiser: Denoiser
    info: CheckpointInfo
    steps: int
    precision: str | None = None

    def __repr__(self) -> str:
        return f"Enhancer({self.info.path.name}, steps={self.steps}, precision={self.precision})"

    @property
    def guarded(self) -> bool:
        """Whether the model knows only dark pictures. A data set of photographs contains well-lit ones."""
        return "photos" not in self.info.config.data.sets

    @overload
    def enhance(self, picture: Kind, **settings: Unpack[Settings]) -> Kind: ...

    @overload
    def enhance(self, picture: str | Path, **settings: Unpack[Settings]) -> np.ndarray: ...

    def enhance(
        self,
        picture: Picture | str | Path,
        *,
        seed: int = 0,
        strength: float = 1.0,
        ensemble: int = 1,
        guard: bool | None = None,
        tile: int | None = None,
        tile_overlap: int | None = None,
        same_noise: bool = False,
        name: str | None = None,
        quiet: bool = True,
    ) -> Picture:
        """Enhance a dark picture; the same kind of picture comes back, and an RGB array for a path.

        Args:
            picture: one of
                - an array (H, W) or (H, W, 3), or (H, W, 2) or (H, W, 4) with alpha, which is kept: uint8,
                  uint16, or float in [0, 1];
                - a float tensor (3, H, W) or (B, 3, H, W) in [0, 1];
                - a PIL image, grey or RGB, with or without alpha; the result is upright, and palettes become
                  RGB;
                - the path of a picture file; an array (H, W, 3), uint8 or uint16, comes back.
            seed: seed of the noise, which depends only on it and, without `same_noise`, on the pixels.
            strength: from 0 (the input) to 1 (the full result).
            ensemble: average over this many flips and rotations of the picture, 1 to 8: cleaner, and this
                many times slower.
            guard: enhance pictures that are not dark less or not at all; see `reddit.image.luminance`. None:
                only if the model was not trained to leave them as they are.
            tile: side of the tiles in pixels; 0: no tiles; None: none up to 1.5 megapixels, and for larger
                pictures tiles of up to 1.25 megapixels that fit (512 pixels if the network is not local).
            tile_overlap: pixels that neighbouring tiles share; None: the network's default (64 or 128), or a
                quarter of a smaller tile.
            same_noise: the same noise for all pictures of one size, such as the frames of a film.
            name: name of the picture in warnings; None: its path, or "the picture".
            quiet: no progress bar.

        Warns:
            EnhanceWarning: the guard reduced the strength; or tiles are used with a network that is not
                local, so that they may differ in brightness.

        Raises:
            UserError: an unsupported kind of picture, values outside [0, 1], a file that cannot be read, a
                setting out of range, or too little memory.
        """
        self.check_settings(strength, tile, tile_overlap, ensemble)
        name = name or (str(picture) if isinstance(picture, str | Path) else "the picture")
        arrays, result = arrays_of(picture)
        results = []
        for array in arrays:
            tiling = self._tiling(array.shape[0], array.shape[1], tile, tile_overlap)
            share = _guarded(array, name) if (self.guarded if guard is None else guard) else 1.0
            if tiling and share * strength and not getattr(self.denoiser.network, "local", False):
                why = "its network normalises over the whole tile: tiles may differ in brightness"
                warnings.warn(f"{name} is processed in tiles, but {why}", EnhanceWarning, stacklevel=2)
            noise_seed = seed if same_noise else picture_seed(seed, fingerprint(eight_bits(rgb_of(array))))
            results.append(self._enhanced(array, noise_seed, strength * share, ensemble, tiling, quiet))
        return result(results)

    def check_settings(
        self,
        strength: float = 1.0,
        tile: int | None = None,
        tile_overlap: int | None = None,
        ensemble: int = 1,
    ) -> None:
        """Check the settings of `enhance`.

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

    def _enhanced(
        self,
        picture: np.ndarray,
        noise_seed: int,
        strength: float,
        ensemble: int,
        tiling: Tiling | None,
        quiet: bool,
    ) -> np.ndarray:
        result = picture.copy()
        if strength == 0:
            return result
        rgb = rgb_of(picture)
        with _memory_remedy(picture):
            strips = self._restored(rgb, noise_seed, ensemble, tiling, quiet)
            if max(rgb.shape[:2]) > self._scale > 0:
                strips = self._matched(strips, rgb, result, noise_seed, ensemble)
            for top, restored in strips:
                rows = slice(top, top + restored.shape[1])
                if strength < 1:
                    restored = torch.lerp(to_tensor(rgb[rows]), restored, strength)
                write_back(restored, result[rows])
        return result

    @property
    def _scale(self) -> int:
        """Longest side of the pictures whose light the network has learnt; 0: any."""
        return int(getattr(self.denoiser.network, "scale", 0))

    def _matched(
        self,
        strips: Iterable[tuple[int, Tensor]],
        rgb: np.ndarray,
        result: np.ndarray,
        noise_seed: int,
        ensemble: int,
    ) -> Iterable[tuple[int, Tensor]]:
        """The rows of a large picture, with the brightness of its small copy; `result` is overwritten."""
        for top, restored in strips:
            write_back(restored, result[top : top + restored.shape[1]])
        small = shrink(rgb, self._scale)
        ((_, wanted),) = self._restored(small, noise_seed, ensemble, None, quiet=True)
        return matched(rgb, rgb_of(result), small, wanted)

    def _restored(
        self, rgb: np.ndarray, noise_seed: int, ensemble: int, tiling: Tiling | None, quiet: bool
    ) -> Iterable[tuple[int, Tensor]]:
        """Yield (first row, rows (3, h, W) in [0, 1]) of the restored picture, from top to bottom."""
        diffusion = self.info.config.diffusion
        deep = rgb.dtype != np.uint8
        precision = self.precision or ("fp32" if deep else self.info.config.precision)
        if tiling is None:
            low = to_device_of(next(self.denoiser.parameters()), to_tensor(rgb)[None])
            whole = restore(
                self.denoiser,
                low,
                self.steps,
                [noise_seed],
                sampler=diffusion.sampler,
                clip=diffusion.clip,
                precision=precision,
                ensemble=ensemble,
            )
            return [(0, whole[0].cpu())]

        def read(rows: Span, columns: Span) -> Tensor:
            return to_tensor(rgb[slice(*rows), slice(*columns)])

        height, width = rgb.shape[:2]
        rows = restore_rows(
            self.denoiser,
            read,
            height,
            width,
            self.steps,
            noise_seed,
            tiling,
            sampler=diffusion.sampler,
            clip=diffusion.clip,
            precision=precision,
            ensemble=ensemble,
        )
        return progress(rows, "tiles", "row", total=len(tiling.spans(height)), quiet=quiet)

    def _tiling(self, height: int, width: int, tile: int | None, overlap: int | None) -> Tiling | None:
        """The tiles of a picture of this size; None: no tiles."""
        if tile is None:
            if height * width <= WHOLE_PIXELS:
                return None
            if getattr(self.denoiser.network, "local", False):
                overlap = self._overlap if overlap is None else overlap
                return fitted(height, width, overlap, self._multiple, TILE_PIXELS)
            tile = TILE
        return None if tile == 0 or max(height, width) <= tile else self._tiling_of(tile, overlap)

    def _tiling_of(self, tile: int, overlap: int | None) -> Tiling:
        overlap = min(self._overlap, tile // 4) if overlap is None else overlap
        return Tiling(tile, overlap, self._multiple)

    @property
    def _overlap(self) -> int:
        """Pixels that neighbouring tiles share."""
        return int(getattr(self.denoiser.network, "overlap", OVERLAP))

    @property
    def _multiple(self) -> int:
        """Of what a tile's position is."""
        return int(getattr(self.denoiser.network, "multiple", 1))


def _guarded(picture: np.ndarray, name: str) -> float:
    """The share of the strength for a picture; warns if it is below 1."""
    alpha = picture[..., -1] if picture.ndim == 3 and picture.shape[2] in (2, 4) else None
    mean = mean_luminance(rgb_of(picture), None if alpha is None else alpha > 0) / white(picture)
    share = fade(mean)
    if share < 1:
        dark = f"mean luminance {mean:.2f}, dark is up to {DARK:.2f}"
        done = f"enhanced at {share:.0%} of the strength" if share else "left unchanged"
        force = "--force (guard=False) enhances it fully"
        warnings.warn(f"{name} is not dark ({dark}): {done}; {force}", EnhanceWarning, stacklevel=3)
    return share


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
