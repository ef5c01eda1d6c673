"""The one reader of pictures: for enhancing, training, evaluating and checking.

`read_photo` gives all pixels and metadata of a file; `read_uint8` and `read_image` its RGB with 8 bits. A
file that cannot be read correctly is refused, everywhere with the same message.
"""

from __future__ import annotations

import io
import os
import stat
import warnings
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from reddit.image import extras
from reddit.image.containers import JPEG_MAGIC, PNG_MAGIC, DamagedError, whole_jpeg, whole_png
from reddit.image.formats import FORMATS
from reddit.image.metadata import dpi_of, exif_of, upright
from reddit.image.pixels import eight_bits, rgb_of, to_float
from reddit.image.tiff import is_tiff, read_tiff, tiff_orientation
from reddit.utils.errors import UserError
from reddit.utils.text import reason

EXTENSIONS = (*FORMATS, *extras.EXTENSIONS)
MEGAPIXELS, LIMIT = 300.0, "REDDIT_MAX_MEGAPIXELS"
"""The largest picture that is read, and the environment variable that raises it."""
_MODES = {"1": "L", "L": "L", "LA": "LA", "La": "LA", "PA": "RGBA", "YCbCr": "RGB", "RGBX": "RGB"}
_MODES |= {"RGB": "RGB", "RGBA": "RGBA", "RGBa": "RGBA", "P": "RGB", "I;16": "L", "I;16B": "L", "I": "L"}


@dataclass(frozen=True, eq=False)
class Photo:
    """A photograph, upright.

    Attributes:
        pixels: (H, W) grey, (H, W, 2) grey and alpha, (H, W, 3) RGB or (H, W, 4) RGBA; uint8 or uint16.
        exif: its EXIF data, orientation 1.
        icc_profile: the colour profile.
        dpi: dots an inch, across and down.
    """

    pixels: np.ndarray
    exif: Image.Exif = field(default_factory=Image.Exif)
    icc_profile: bytes | None = None
    dpi: tuple[float, float] | None = None


def read_photo(path: str | Path) -> Photo:
    """Read a photograph and turn it upright.

    Grey and RGB, with or without alpha, 8 or 16 bits; palettes become RGB. Files of several pictures are
    refused, except for smaller copies of the first. Bytes after the picture are ignored.

    Raises:
        UserError: the file is missing, empty, damaged, no picture, too large, or of an unsupported kind.
    """
    path = Path(path)
    data = _bytes(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about large pictures and damaged tags
            if path.suffix.lower() in extras.RAW:  # first: many raw files are TIFFs of a thumbnail
                return Photo(extras.read_raw(path, _check_size))
            if extras.is_heic(data):
                extras.register_heic(path)
            return _tiff(path, data) if is_tiff(data) else _photo(path, data)
    except UserError:
        raise
    except DamagedError as error:
        raise UserError(f"{path} is damaged: {error}; copy or download it again") from error
    except UnidentifiedImageError as error:
        raise UserError(
            f"{path} is damaged, or no picture of a kind known here: {', '.join(FORMATS)}"
        ) from error
    except (Image.DecompressionBombError, MemoryError) as error:
        raise UserError(
            f"{path} is too large: more than {_limit():g} megapixels; shrink it, or raise {LIMIT}"
        ) from error
    except Exception as error:  # decoders raise errors of every kind on damaged files
        raise UserError(
            f"{path} cannot be decoded: it is damaged, or of a rare kind ({reason(error)}); copy it again, "
            "or as PNG"
        ) from error


def _bytes(path: Path) -> bytes:
    try:
        if path.exists() and not stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited for
            raise UserError(f"{path} is no file but a folder, a pipe or a device: name a picture")
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {reason(error)}") from error
    if not data:
        raise UserError(f"{path} is empty (0 bytes): download or write it again")
    return data


def _photo(path: Path, data: bytes) -> Photo:
    if data.startswith(PNG_MAGIC):
        data = whole_png(data)
    elif data.startswith(JPEG_MAGIC):
        data = whole_jpeg(data)
    if Image.MAX_IMAGE_PIXELS is not None:  # Pillow refuses above twice its number
        Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, int(_limit() * 1e6 / 2) + 1)
    with Image.open(io.BytesIO(data)) as image:
        if image.format not in (*FORMATS.values(), "MPO", "HEIF"):  # MPO: a JPEG with more behind it
            raise UserError(f"{path} is a {image.format}: convert it to one of {', '.join(FORMATS)}")
        _check_size(path, *image.size)
        pixels = _decoded(path, data, image)
        return _with_metadata(pixels, image)


def _tiff(path: Path, data: bytes) -> Photo:
    pixels = read_tiff(path, data, _check_size)
    try:  # for the metadata only: Pillow knows fewer kinds of pixels
        with Image.open(io.BytesIO(data)) as image:
            return _with_metadata(pixels, image)
    except UnidentifiedImageError:
        return Photo(upright(pixels, tiff_orientation(data)))


def _with_metadata(pixels: np.ndarray, image: Image.Image) -> Photo:
    exif = exif_of(image)
    pixels = np.ascontiguousarray(upright(pixels, exif))
    return Photo(pixels, exif, image.info.get("icc_profile"), dpi_of(image))


def _limit() -> float:
    text = os.environ.get(LIMIT, "")
    try:
        return float(text) if text else MEGAPIXELS
    except ValueError as error:
        raise UserError(f"{LIMIT}={text}: not a number of megapixels") from error


def _check_size(path: Path, width: int, height: int) -> None:
    """Refuse by the header, before memory is allocated."""
    if width * height > _limit() * 1e6:
        raise UserError(
            f"{path} is too large: {width}×{height} pixels, more than {_limit():g} megapixels; shrink it, or "
            f"raise {LIMIT}"
        )


def _decoded(path: Path, data: bytes, image: Image.Image) -> np.ndarray:
    if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:
        count = getattr(image, "n_frames", 1)
        raise UserError(f"{path} holds {count} pictures: split it, one picture a file")
    deep = image.format == "PNG" and data[24] == 16  # of the header chunk, which comes first
    if image.mode not in _MODES or (image.mode == "I" and not deep):
        raise UserError(f"{path} holds {image.mode} pixels: convert it to grey or RGB of 8 or 16 bits")
    image.load()
    return _deep_png(data) if deep else _converted(image)


def _converted(image: Image.Image) -> np.ndarray:
    """The 8-bit pixels of an image in one of `_MODES`."""
    mode = _MODES[image.mode]
    if "transparency" in image.info:
        mode = "LA" if mode == "L" else "RGBA"
    return np.asarray(image if image.mode == mode else image.convert(mode))


def _deep_png(data: bytes) -> np.ndarray:
    """16-bit pixels, which Pillow cannot hold in colour."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16:
        raise ValueError("16 bits of an unknown layout")
    if pixels.ndim == 2:
        return pixels
    if data[25] == 4:  # grey and alpha, which OpenCV shows as colour and alpha
        return pixels[..., [0, -1]]
    return pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]


def photo_of(image: Image.Image) -> Photo:
    """The photograph in a Pillow image, upright; the image is not changed.

    Raises:
        UserError: its file is damaged, or its mode is not grey or RGB of 8 or 16 bits.
    """
    deep = image.mode.startswith("I;16")
    if not deep and (image.mode not in _MODES or image.mode == "I"):
        raise UserError(f"the image holds {image.mode} pixels: convert it to grey or RGB of 8 or 16 bits")
    try:
        copy = image.copy()  # decodes it; `upright` changes EXIF data in place
    except Exception as error:  # as in `read_photo`
        raise UserError(f"the image cannot be decoded: {reason(error)}") from error
    copy.format = image.format
    with suppress(Exception):  # damaged metadata; `exif_of` then leaves it out
        copy.info["exif"] = image.getexif().tobytes()
    return _with_metadata(np.asarray(copy).astype(np.uint16) if deep else _converted(copy), copy)


def read_uint8(path: str | Path) -> np.ndarray:
    """Read a picture as upright RGB uint8, shape (H, W, 3); errors as in `read_photo`.

    Grey becomes three equal channels, alpha is dropped, 16 bits are rounded to 8. A `.npy` file holds uint8
    BGR, as SID and SDSD are distributed.
    """
    path = Path(path)
    if path.suffix.lower() == ".npy":
        _bytes(path)
        return _read_npy(path)
    return np.ascontiguousarray(eight_bits(rgb_of(read_photo(path).pixels)))


def _read_npy(path: Path) -> np.ndarray:
    try:
        bgr = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError, MemoryError) as error:
        raise UserError(f"{path} is not a readable .npy array: {reason(error)}") from error
    if bgr.dtype != np.uint8 or bgr.ndim != 3 or bgr.shape[2] != 3:
        raise UserError(f"{path} holds {bgr.dtype} {bgr.shape}; expected uint8 (H, W, 3), BGR")
    return np.ascontiguousarray(bgr[..., ::-1])


def read_image(path: str | Path) -> Tensor:
    """Read a picture as float32 RGB (3, H, W) in [0, 1]; errors as in `read_photo`."""
    return to_float(read_uint8(path))


def list_images(folder: str | Path, extensions: Iterable[str] = EXTENSIONS) -> list[Path]:
    """Pictures directly inside a folder, sorted by name; hidden files are left out."""
    folder = Path(folder)
    wanted = tuple(extensions)
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise UserError(f"cannot list {folder}: {reason(error)}") from error
    return [p for p in entries if p.suffix.lower() in wanted and not p.name.startswith(".")]
