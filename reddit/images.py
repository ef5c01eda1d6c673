"""Pictures on disk and in memory: reading, writing, padding.

Boundary convention: RGB, float32 in [0, 1], shape (3, H, W) or (B, 3, H, W).
Eight bits exist only inside this file and inside picture caches.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from reddit.errors import UserError

EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")

THUMBNAIL = 64
"""Side of the thumbnail that some networks look at."""

_READ_FLAGS = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION


def read_uint8(path: str | Path) -> np.ndarray:
    """Read a picture as RGB uint8, shape (H, W, 3).

    Grey becomes three equal channels, alpha is dropped, 16 bits are rounded to 8.
    A `.npy` file holds uint8 BGR, as SID and SDSD are distributed.

    Raises:
        UserError: the file is missing, empty, truncated, or not a picture.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    if not data:
        raise UserError(f"{path} is empty (0 bytes): download or write it again")
    if path.suffix.lower() == ".npy":
        return _read_npy(path)
    if data.startswith(b"\x89PNG") and b"IEND" not in data[-16:]:
        raise UserError(f"{path} is a truncated PNG: download or write it again")
    if data.startswith(b"\xff\xd8") and b"\xff\xd9" not in data[-4096:]:
        raise UserError(f"{path} is a truncated JPEG: download or write it again")
    bgr = cv2.imdecode(np.frombuffer(data, np.uint8), _READ_FLAGS | cv2.IMREAD_ANYDEPTH)
    if bgr is None:
        raise UserError(f"{path} cannot be decoded as a picture: is it damaged or of another type?")
    if bgr.dtype == np.uint16:
        bgr = np.rint(bgr.astype(np.float32) / 257.0).astype(np.uint8)
    elif bgr.dtype != np.uint8:
        raise UserError(f"{path} holds {bgr.dtype} values; 8-bit and 16-bit pictures are supported")
    return np.ascontiguousarray(bgr[..., ::-1])


def _read_npy(path: Path) -> np.ndarray:
    try:
        bgr = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise UserError(f"{path} is not a readable .npy array: {error}") from error
    if bgr.dtype != np.uint8 or bgr.ndim != 3 or bgr.shape[2] != 3:
        raise UserError(f"{path} holds {bgr.dtype} {bgr.shape}; expected uint8 (H, W, 3), BGR")
    return np.ascontiguousarray(bgr[..., ::-1])


def to_float(picture: np.ndarray) -> Tensor:
    """uint8 (H, W, 3) → float32 (3, H, W) in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1))).float().div_(255.0)


def to_uint8(image: Tensor) -> np.ndarray:
    """float (3, H, W) in [0, 1] → uint8 (H, W, 3), clipped and rounded to nearest."""
    scaled = image.detach().float().clamp(0, 1).mul(255).round().to(torch.uint8)
    return np.ascontiguousarray(scaled.permute(1, 2, 0).cpu().numpy())


def read_image(path: str | Path) -> Tensor:
    """Read a picture as float32 RGB (3, H, W) in [0, 1]; errors as in `read_uint8`."""
    return to_float(read_uint8(path))


def encode(picture: np.ndarray, extension: str = ".png", quality: int = 92) -> bytes:
    """Encode uint8 RGB (H, W, 3) in memory."""
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if extension in (".jpg", ".jpeg") else []
    try:
        done, data = cv2.imencode(extension, np.ascontiguousarray(picture[..., ::-1]), options)
    except cv2.error:  # an extension that it does not know
        done = False
    if not done:
        raise UserError(
            f"cannot encode a picture as {extension or 'a file without extension'}; use .png or .jpg"
        )
    return data.tobytes()


def write_image(path: str | Path, image: Tensor) -> None:
    """Write float RGB (3, H, W) in [0, 1]; the extension chooses the format.

    Raises:
        UserError: the folder cannot be written or the disk is full.
    """
    path = Path(path)
    write_bytes(path, encode(to_uint8(image), path.suffix.lower()))


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole or not at all: to a temporary neighbour, then renamed."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):  # the folder itself may be what is wrong
            temporary.unlink()
        remedy = "free some space and run again" if error.errno == errno.ENOSPC else "check the folder"
        raise UserError(f"cannot write {path}: {error.strerror}; {remedy}") from error


def list_images(folder: str | Path, extensions: Iterable[str] = EXTENSIONS) -> list[Path]:
    """Pictures directly inside a folder, sorted by name; hidden files are left out."""
    folder = Path(folder)
    wanted = tuple(extensions)
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise UserError(f"cannot list {folder}: {error.strerror}") from error
    return [p for p in entries if p.suffix.lower() in wanted and not p.name.startswith(".")]


def thumbnail(image: Tensor) -> Tensor:
    """The whole picture (B, C, H, W) averaged down (or repeated up) to (B, C, 64, 64), float32."""
    return F.adaptive_avg_pool2d(image.float(), THUMBNAIL)


def pad_to_multiple(image: Tensor, multiple: int) -> tuple[Tensor, tuple[int, int]]:
    """Reflect-pad (B, C, H, W) at the bottom and right to a multiple; returns the old (H, W).

    Pictures smaller than the padding they need are reflected repeatedly, so any size works.
    """
    height, width = image.shape[-2:]
    while pad := ((-image.shape[-1]) % multiple, (-image.shape[-2]) % multiple):
        if pad == (0, 0):
            break
        step = (min(pad[0], image.shape[-1] - 1), min(pad[1], image.shape[-2] - 1))
        if (pad[0] and not step[0]) or (pad[1] and not step[1]):  # one pixel cannot be reflected
            image = F.pad(image, (0, pad[0], 0, pad[1]), mode="replicate")
            break
        image = F.pad(image, (0, step[0], 0, step[1]), mode="reflect")
    return image, (height, width)


def crop_to(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Undo `pad_to_multiple`."""
    return image[..., : size[0], : size[1]]
