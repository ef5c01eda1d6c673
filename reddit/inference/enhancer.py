"""Enhancing pictures of any size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, overload

import numpy as np
import torch
from torch import Tensor

from reddit.checkpoint.format import CheckpointInfo
from reddit.diffusion import Denoiser
from reddit.image.pixels import to_tensor
from reddit.inference.inputs import Kind, Picture, arrays_of
from reddit.inference.picture_enhancer import OVERLAP, PictureEnhancer, Strips
from reddit.inference.sampling import restore, restore_rows
from reddit.inference.settings import Settings
from reddit.inference.tiling import Span, Tiling
from reddit.inference.warn import EnhanceWarning
from reddit.utils.device import sampling_precision, to_device_of
from reddit.utils.progress import progress

__all__ = ["EnhanceWarning", "Enhancer"]

if TYPE_CHECKING:
    from typing_extensions import Unpack


BATCH_PIXELS = 2_500_000
"""Pixels that a GPU restores together: two tiles, or ten pictures of 600×400."""


@dataclass(frozen=True, repr=False)
class Enhancer(PictureEnhancer):
    """A loaded model.

    Attributes:
        steps: sampling steps.
        precision: precision of the network; None: that of its training for 8-bit pictures, if the device has
            arithmetic for it, and fp32 for 16-bit and float ones, whose levels bf16 would merge.
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
                - a float tensor (3, H, W) or (B, 3, H, W) in [0, 1]. On a GPU, the pictures of a batch go
                  through the network together, with the same results but for rounding; on a processor one by
                  one, which is faster there;
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
        name = name or (str(picture) if isinstance(picture, str | Path) else "the picture")
        settings = Settings(
            seed=seed, strength=strength, ensemble=ensemble, guard=guard, tile=tile,
            tile_overlap=tile_overlap, same_noise=same_noise, name=name, quiet=quiet,
        )  # fmt: skip
        self.check_settings(**settings)
        arrays, result = arrays_of(picture)
        return result(self.enhance_arrays(arrays, **settings))

    def _restored(
        self, rgb: np.ndarray, noise_seed: int, ensemble: int, tiling: Tiling | None, quiet: bool
    ) -> Strips:
        diffusion, precision = self.info.config.diffusion, self._precision(rgb)
        if tiling is None:
            return self._restored_together([rgb], [noise_seed], ensemble)[0]

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
            batch_pixels=self._batch_pixels,
        )
        strips = ((top, band.numpy()) for top, band in rows)
        return progress(strips, "tiles", "row", total=len(tiling.spans(height)), quiet=quiet)

    def _restored_together(
        self, rgbs: Sequence[np.ndarray], noise_seeds: Sequence[int], ensemble: int
    ) -> list[Strips]:
        low = torch.stack([to_tensor(rgb) for rgb in rgbs])
        whole = restore(
            self.denoiser,
            to_device_of(next(self.denoiser.parameters()), low),
            self.steps,
            noise_seeds,
            sampler=self.info.config.diffusion.sampler,
            clip=self.info.config.diffusion.clip,
            precision=self._precision(rgbs[0]),
            ensemble=ensemble,
        )
        return [[(0, picture)] for picture in whole.cpu().numpy()]

    def _precision(self, rgb: np.ndarray) -> str:
        if self.precision or rgb.dtype != np.uint8:
            return self.precision or "fp32"
        return sampling_precision(next(self.denoiser.parameters()).device, self.info.config.precision)

    @property
    def _batch_pixels(self) -> int:
        """On a processor a picture takes longer beside others than alone."""
        return 0 if next(self.denoiser.parameters()).device.type == "cpu" else BATCH_PIXELS

    @property
    def _local(self) -> bool:
        return bool(getattr(self.denoiser.network, "local", False))

    @property
    def _scale(self) -> int:
        return int(getattr(self.denoiser.network, "scale", 0))

    @property
    def _overlap(self) -> int:
        return int(getattr(self.denoiser.network, "overlap", OVERLAP))

    @property
    def _multiple(self) -> int:
        return int(getattr(self.denoiser.network, "multiple", 1))
