"""The one reader of pictures: for enhancing, training, evaluating and checking.

`read_photo` gives all pixels and metadata of a file; `read_uint8` and `read_image` its RGB with 8 bits. A
file that cannot be read correctly is refused, everywhere with the same message.
"""

from __future__ import annotations

import io
import stat
import warnings
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from reddit.image import extras
from reddit.image.containers import JPEG_MAGIC, PNG_MAGIC, DamagedError, check_rows, whole_jpeg, whole_png
from reddit.image.digest import STRIP, digest, digest_of
from reddit.image.formats import FORMATS
from reddit.image.limits import LIMIT, check_size, megapixels
from reddit.image.metadata import dpi_of, exif_of, icc_profile_of, upright
from reddit.image.opencv import decoded
from reddit.image.pixels import eight_bits, rgb_of, to_float
from reddit.image.tiff import is_tiff, read_tiff, tiff_orientation
from reddit.utils.errors import UserError
from reddit.utils.text import reason

if TYPE_CHECKING:
    from torch import Tensor

EXTENSIONS = (*FORMATS, *extras.EXTENSIONS)
ARRAY = ".npy"
_DEEP_BYTES = {0: 2, 2: 6, 4: 8, 6: 8}
"""Colour type of a 16-bit PNG → bytes of a pixel."""
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
    if path.suffix.lower() == ARRAY:  # whatever it holds: `read_uint8` expects an array
        raise UserError(f"{path} is an array of NumPy, not a photograph: convert it to PNG")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about large pictures and damaged tags
            if Image.MAX_IMAGE_PIXELS is not None:  # Pillow refuses above twice its number
                Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, int(megapixels() * 1e6 / 2) + 1)
            if path.suffix.lower() in extras.RAW:  # first: many raw files are TIFFs of a thumbnail
                return Photo(extras.read_raw(path))
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
            f"{path} is too large: more than {megapixels():g} megapixels; shrink it, or raise {LIMIT}"
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
    noisy = None
    if data.startswith(PNG_MAGIC):
        data = whole_png(data)
    elif data.startswith(JPEG_MAGIC):
        data, noisy = whole_jpeg(data)
    with Image.open(io.BytesIO(data)) as image:
        if image.format not in (*FORMATS.values(), "MPO", "HEIF"):  # MPO: a JPEG with more behind it
            raise UserError(f"{path} is a {image.format}: convert it to one of {', '.join(FORMATS)}")
        deep = _checked(path, data, image)
        width, height = image.size
        check_size(path, width, height, _DEEP_BYTES[data[25]] if deep else 3)
        expected = digest_of(noisy) if noisy else b""  # before the pixels take memory
        image.load()
        if noisy and digest(image) != expected:
            raise DamagedError("a scan ends early")
        # The check takes time, and rows that are missing are black; an interlaced picture has gaps instead.
        if image.format == "PNG" and (deep or data[28] or _is_black(image, height - 1)):
            check_rows(data)
        described = _Description.of(image)
        pixels = None if deep else _converted(image)
        image.close()  # frees as much memory as the pixels take
    return described.photo(_deep_png(data) if pixels is None else pixels)


def _tiff(path: Path, data: bytes) -> Photo:
    pixels = read_tiff(path, data)
    try:  # for the metadata only: Pillow knows fewer kinds of pixels
        with Image.open(io.BytesIO(data)) as image:
            described = _Description.of(image)
            image.close()
        return described.photo(pixels)
    except UnidentifiedImageError:
        return Photo(upright(pixels, tiff_orientation(data)))


class _Description(NamedTuple):
    """What an image holds beside its pixels."""

    exif: Image.Exif
    icc_profile: bytes | None
    dpi: tuple[float, float] | None

    @staticmethod
    def of(image: Image.Image) -> _Description:
        return _Description(exif_of(image), icc_profile_of(image), dpi_of(image))

    def photo(self, pixels: np.ndarray) -> Photo:
        """A photograph of pixels that are not yet turned upright."""
        return Photo(np.ascontiguousarray(upright(pixels, self.exif)), *self)


def _checked(path: Path, data: bytes, image: Image.Image) -> bool:
    """Whether the picture has 16 bits that Pillow cannot hold.

    Raises:
        UserError: there are several pictures, or its pixels are of another kind than grey or RGB.
    """
    if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:
        count = getattr(image, "n_frames", 1)
        raise UserError(f"{path} holds {count} pictures: split it, one picture a file")
    deep = image.format == "PNG" and data[24] == 16  # of the header chunk, which comes first
    if image.mode not in _MODES or (image.mode == "I" and not deep):
        raise UserError(f"{path} holds {image.mode} pixels: convert it to grey or RGB of 8 or 16 bits")
    return deep


def _is_black(image: Image.Image, row: int) -> bool:
    """Whether all values of a row are 0, or its alpha is."""
    return image.crop((0, row, image.width, row + 1)).getbbox() is None


def _converted(image: Image.Image) -> np.ndarray:
    """The 8-bit pixels of an image in one of `_MODES`; in strips, since each conversion is a copy."""
    mode, (width, height) = _MODES[image.mode], image.size
    if "transparency" in image.info:
        mode = "LA" if mode == "L" else "RGBA"
    channels = len(mode)
    pixels = np.empty((height, width) if channels == 1 else (height, width, channels), np.uint8)
    for top in range(0, height, STRIP):
        strip = image.crop((0, top, width, min(top + STRIP, height)))
        pixels[top : top + STRIP] = np.asarray(strip if image.mode == mode else strip.convert(mode))
    return pixels


def _deep_png(data: bytes) -> np.ndarray:
    """16-bit pixels, which Pillow cannot hold in colour."""
    pixels = decoded(data)
    if pixels is None or pixels.dtype != np.uint16:
        raise ValueError("16 bits of an unknown layout")
    if data[25] == 4:  # grey and alpha, which OpenCV shows as colour and alpha
        return pixels[..., [0, -1]]
    return pixels


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
    return _Description.of(copy).photo(np.asarray(copy).astype(np.uint16) if deep else _converted(copy))


def read_uint8(path: str | Path) -> np.ndarray:
    """Read a picture as upright RGB uint8, shape (H, W, 3); errors as in `read_photo`.

    Grey becomes three equal channels, alpha is dropped, 16 bits are rounded to 8. A `.npy` file holds uint8
    BGR, as SID and SDSD are distributed.
    """
    path = Path(path)
    if path.suffix.lower() == ARRAY:
        return _read_npy(path, _bytes(path))
    return np.ascontiguousarray(eight_bits(rgb_of(read_photo(path).pixels)))


def _read_npy(path: Path, data: bytes) -> np.ndarray:
    try:
        bgr = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    except Exception as error:  # its header is parsed as Python is
        raise UserError(f"{path} is not a readable .npy array: {reason(error)}") from error
    if bgr.dtype != np.uint8 or bgr.ndim != 3 or bgr.shape[2] != 3 or bgr.size == 0:
        raise UserError(f"{path} holds {bgr.dtype} {bgr.shape}; expected uint8 (H, W, 3), BGR")
    check_size(path, bgr.shape[1], bgr.shape[0])
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
