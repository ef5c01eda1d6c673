"""The kinds of pictures that `enhance` takes: arrays, tensors, Pillow images and files."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from reddit.image.pixels import check_array, rgb_of
from reddit.image.read import photo_of, read_photo
from reddit.image.write import to_pillow
from reddit.utils.errors import UserError

Picture: TypeAlias = np.ndarray | Tensor | Image.Image
Kind = TypeVar("Kind", np.ndarray, Tensor, Image.Image)
Results: TypeAlias = Sequence[np.ndarray]


def arrays_of(picture: Picture | str | Path) -> tuple[list[np.ndarray], Callable[[Results], Picture]]:
    """The arrays of a picture, and the function that makes the result from the enhanced arrays.

    Tensors and Pillow images become what they were; files become RGB arrays.

    Raises:
        UserError: an unsupported kind of picture, or values outside [0, 1].
    """
    arrays, result = _arrays(picture)
    for array in arrays:
        check_array(array)
    return arrays, result


def _arrays(picture: Picture | str | Path) -> tuple[list[np.ndarray], Callable[[Results], Picture]]:
    if isinstance(picture, np.ndarray):
        return [picture], lambda results: results[0]
    if isinstance(picture, Tensor):
        return _images(picture), lambda results: _tensor_like(picture, results)
    if isinstance(picture, Image.Image):
        photo = photo_of(picture)
        return [photo.pixels], lambda results: to_pillow(replace(photo, pixels=results[0]))
    if isinstance(picture, str | os.PathLike):
        pixels = read_photo(picture).pixels
        return [pixels], lambda results: np.ascontiguousarray(rgb_of(results[0]))
    raise UserError(
        f"a {type(picture).__name__} is not a picture: expected an array, a tensor, a PIL image or a path"
    )


def _images(pictures: Tensor) -> list[np.ndarray]:
    """Float tensor (3, H, W) or (B, 3, H, W) → B arrays (H, W, 3), float32."""
    shaped = pictures.ndim in (3, 4) and pictures.shape[-3] == 3 and len(pictures) > 0
    if not shaped or not pictures.is_floating_point():
        raise UserError(
            f"a tensor {pictures.dtype} {tuple(pictures.shape)} is not a picture: "
            "expected float (3, H, W) or (B, 3, H, W) in [0, 1]"
        )
    batch = pictures.detach().float().cpu().reshape(-1, *pictures.shape[-3:])
    return [image.permute(1, 2, 0).numpy() for image in batch]


def _tensor_like(pictures: Tensor, results: Results) -> Tensor:
    images = [torch.from_numpy(result).permute(2, 0, 1) for result in results]
    return torch.stack(images).reshape(pictures.shape).to(pictures.device, pictures.dtype)
