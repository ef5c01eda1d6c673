"""Pictures as arrays of any depth and as tensors: grey or RGB, with or without alpha.

Boundary convention: RGB, float32 in [0, 1], shape (3, H, W) or (B, 3, H, W). PyTorch is imported only where a
tensor is made: reading, enhancing by ONNX Runtime and writing go without it.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from reddit.image.luminance import luminance
from reddit.utils.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor


def check_array(picture: np.ndarray) -> None:
    """Check that an array is a picture that `Enhancer.enhance` takes.

    Raises:
        UserError: it is not; the message gives its dtype and shape.
    """
    what = f"an array {picture.dtype} {picture.shape}"
    if picture.ndim not in (2, 3) or (picture.ndim == 3 and picture.shape[2] not in (2, 3, 4)):
        raise UserError(f"{what} is not a picture: expected (H, W), (H, W, 2), (H, W, 3) or (H, W, 4)")
    if 0 in picture.shape:
        raise UserError(f"{what} holds no pixels")
    if picture.dtype in (np.uint8, np.uint16):
        return
    if picture.dtype.kind != "f":
        raise UserError(f"{what} is not a picture: expected uint8, uint16, or float in [0, 1]")
    low, high = float(picture.min()), float(picture.max())
    if not (low >= 0 and high <= 1):  # not a number too
        raise UserError(f"{what} holds values from {low:g} to {high:g}: scale or clip them to [0, 1]")


def rgb_of(picture: np.ndarray) -> np.ndarray:
    """The RGB (H, W, 3) of any array, a view: alpha left out, grey repeated."""
    if picture.ndim == 2:
        picture = picture[..., None]
    if picture.shape[2] in (1, 2):
        return np.broadcast_to(picture[..., :1], (*picture.shape[:2], 3))
    return picture[..., :3]


def white(picture: np.ndarray) -> float:
    """The value of white."""
    return 1.0 if picture.dtype.kind == "f" else float(np.iinfo(picture.dtype).max)


def to_planes(rgb: np.ndarray) -> np.ndarray:
    """RGB (H, W, 3) of any dtype → float32 (3, H, W) in [0, 1]."""
    planes = np.array(rgb.transpose(2, 0, 1), dtype=np.float32, order="C")
    return np.divide(planes, np.float32(white(rgb)), out=planes)


def to_tensor(rgb: np.ndarray) -> Tensor:
    """`to_planes` as a tensor."""
    import torch

    return torch.from_numpy(to_planes(rgb))


def fingerprint(picture: np.ndarray) -> str:
    """A hash of a picture's pixels and shape, 16 hexadecimal digits; independent of the file format."""
    digest = hashlib.blake2b(np.ascontiguousarray(picture).tobytes(), digest_size=8)
    digest.update(repr(picture.shape).encode())
    return digest.hexdigest()


def eight_bits(rgb: np.ndarray) -> np.ndarray:
    """Rounded to uint8, a few rows at a time; a 16-bit picture and its 8-bit copy so get the same noise."""
    if rgb.dtype == np.uint8:
        return rgb
    rounded = np.empty(rgb.shape, np.uint8)
    for top in range(0, len(rgb), 256):
        rows = rgb[top : top + 256].astype(np.float32)
        rounded[top : top + 256] = np.rint(rows * (255 / white(rgb)))
    return rounded


def write_back(restored: np.ndarray, rows: np.ndarray) -> None:
    """Write (3, h, W) in [0, 1] into rows of a picture of any kind; its alpha stays."""
    values = restored.transpose(1, 2, 0)
    if rows.ndim == 2 or rows.shape[2] == 2:
        values = np.clip(luminance(values), 0, 1)
    if rows.dtype.kind != "f":
        values = np.rint(values * np.float32(white(rows)))
    if rows.ndim == 2:
        rows[...] = values
    elif rows.shape[2] == 2:
        rows[..., 0] = values
    else:
        rows[..., :3] = values


def to_float(picture: np.ndarray) -> Tensor:
    """uint8 (H, W, 3) → float32 (3, H, W) in [0, 1]."""
    import torch

    planes = picture.transpose(2, 0, 1).copy()  # a side of one pixel that was turned has a negative stride
    return torch.from_numpy(planes).float().div_(255.0)


def to_uint8(image: Tensor) -> np.ndarray:
    """float (3, H, W) in [0, 1] → uint8 (H, W, 3), clipped and rounded to nearest."""
    import torch

    scaled = image.detach().float().clamp(0, 1).mul(255).round().to(torch.uint8)
    return np.ascontiguousarray(scaled.permute(1, 2, 0).cpu().numpy())
