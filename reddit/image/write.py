"""Writing pictures and photographs."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image

from reddit.image.formats import FORMATS, png, tiff
from reddit.image.marks import is_marked, mark, marked_bmp
from reddit.image.pixels import to_uint8
from reddit.image.read import Photo
from reddit.utils.errors import UserError
from reddit.utils.files import write_bytes
from reddit.utils.text import reason

if TYPE_CHECKING:
    from torch import Tensor

QUALITY = 95


def write_photo(path: str | Path, photo: Photo, quality: int = QUALITY) -> None:
    """Write a photograph with its metadata; the extension chooses the format.

    JPEG, WebP and BMP hold 8 bits: deeper pictures are rounded.

    Args:
        quality: of JPEG and WebP, 1 to 100.

    Raises:
        UserError: an unknown extension, alpha in a JPEG, a picture too big for its format, or the file
            cannot be written.
    """
    path = Path(path)
    form = FORMATS.get(path.suffix.lower())
    if form is None:
        raise UserError(f"cannot write {path}: unknown extension; use one of {', '.join(FORMATS)}")
    if form in ("JPEG", "BMP") and photo.pixels.ndim == 3 and photo.pixels.shape[2] in (2, 4):
        raise UserError(f"cannot write {path}: {form} holds no transparency; use --format png")
    try:
        data = _encoded(photo, form, quality)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot write {path} as {form}: {reason(error)}; use --format png") from error
    write_bytes(path, data)


def _encoded(photo: Photo, form: str, quality: int) -> bytes:
    exif = photo.exif.tobytes() if len(photo.exif) else None
    if form == "TIFF":
        return tiff(photo.pixels, photo.exif, photo.icc_profile, photo.dpi)
    if form == "PNG" and photo.pixels.dtype == np.uint16:
        return png(photo.pixels, exif, photo.icc_profile, photo.dpi)
    options: dict[str, object] = {"quality": quality} if form in ("JPEG", "WEBP") else {}
    if form == "JPEG":
        options["subsampling"] = 0  # colour at full resolution
    if exif and form != "BMP":
        options["exif"] = exif
    if photo.icc_profile and form != "BMP":
        options["icc_profile"] = photo.icc_profile
    if photo.dpi and form != "WEBP":
        options["dpi"] = photo.dpi
    image = Image.fromarray(_eight_bits(photo.pixels))
    if image.mode == "LA" and form == "WEBP":
        image = image.convert("RGBA")
    stream = io.BytesIO()
    image.save(stream, form, **options)
    data = stream.getvalue()
    return marked_bmp(data) if form == "BMP" and is_marked(photo.exif) else data


def _eight_bits(pixels: np.ndarray) -> np.ndarray:
    if pixels.dtype == np.uint8:
        return pixels
    return np.rint(pixels.astype(np.float32) / 257).astype(np.uint8)


def to_pillow(photo: Photo) -> Image.Image:
    """A Pillow image of mode L, LA, RGB, RGBA or I;16 with the photograph's metadata in `info`.

    `photo`: 8 bits, or grey without alpha of 16 bits.
    """
    image = Image.fromarray(photo.pixels)
    found = {
        "exif": photo.exif.tobytes() if len(photo.exif) else None,
        "icc_profile": photo.icc_profile,
        "dpi": photo.dpi,
    }
    image.info = {key: value for key, value in found.items() if value is not None}
    return image


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


def save_result(path: Path, image: Tensor) -> None:
    """Write float RGB (3, H, W) in [0, 1], marked as a result of this program; errors as in `write_photo`."""
    photo = Photo(to_uint8(image))
    mark(photo.exif)
    write_photo(path, photo)


def write_image(path: str | Path, image: Tensor) -> None:
    """Write float RGB (3, H, W) in [0, 1]; the extension chooses the format.

    Raises:
        UserError: the folder cannot be written or the disk is full.
    """
    path = Path(path)
    write_bytes(path, encode(to_uint8(image), path.suffix.lower()))
