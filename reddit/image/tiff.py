"""Reading TIFF by its tags."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import tifffile
from PIL import ExifTags, Image

from reddit.image.containers import DamagedError
from reddit.image.libtiff import errors_of_libtiff
from reddit.image.limits import check_size
from reddit.image.opencv import decoded
from reddit.image.tiff_parts import check_bombs, check_jpegs, check_parts
from reddit.utils.errors import UserError
from reddit.utils.text import short

_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
MOST_COPIES = 64
_FAX = (2, 3, 4, 32771)
"""Compressions of CCITT; libtiff repairs what is damaged in them, and tells of a part of it."""
_KINDS = {
    tifffile.PHOTOMETRIC.MINISWHITE: 1,
    tifffile.PHOTOMETRIC.MINISBLACK: 1,
    tifffile.PHOTOMETRIC.RGB: 3,
    tifffile.PHOTOMETRIC.YCBCR: 3,
    tifffile.PHOTOMETRIC.PALETTE: 1,
}
"""Photometric interpretation → channels without the extra ones."""
_DEPTHS = (("bool", 1), ("uint8", 2), ("uint8", 4), ("uint8", 8), ("uint16", 16))
"""Types and bits of a channel that are read."""


def is_tiff(data: bytes) -> bool:
    """Whether bytes begin as a TIFF does."""
    return data.startswith(_MAGIC)


@contextmanager
def opened(file: BinaryIO) -> Iterator[tifffile.TiffFile]:
    """A TIFF, without the log lines of tifffile about what is damaged in it."""
    log = logging.getLogger("tifffile")
    before, log.disabled = log.disabled, True
    try:
        with tifffile.TiffFile(file) as tiff:
            yield tiff
    finally:
        log.disabled = before


def tiff_orientation(data: bytes) -> Image.Exif:
    """EXIF data with the orientation of a TIFF and nothing else."""
    exif = Image.Exif()
    with opened(io.BytesIO(data)) as file:
        tag = file.pages[0].aspage().tags.get(274)
        if tag is not None:
            exif[ExifTags.Base.Orientation] = int(tag.value)
    return exif


def read_tiff(path: Path, data: bytes) -> np.ndarray:
    """The picture of a TIFF, not yet turned: uint8 or uint16, (H, W) or (H, W, C), alpha last.

    Args:
        path: for messages.

    Raises:
        UserError: several pictures, or pixels of another kind.
    """
    with opened(io.BytesIO(data)) as file:
        page = _only_page(path, file)
        check_size(path, page.imagewidth, page.imagelength, _bytes_of_pixel(page))
        return _pixels(path, page, _decoded(path, page, data))


def _bytes_of_pixel(page: tifffile.TiffPage) -> int:
    palette = page.photometric == tifffile.PHOTOMETRIC.PALETTE
    return 3 if palette or page.dtype is None else max(1, page.samplesperpixel * page.dtype.itemsize)


def _only_page(path: Path, file: tifffile.TiffFile) -> tifffile.TiffPage:
    """The page that is no smaller copy; damaged files may claim to have pages without end."""
    found = None
    for number, frame in enumerate(file.pages):
        page = frame.aspage()
        if page.subfiletype & 1:  # a smaller copy
            if number == MOST_COPIES:
                raise UserError(
                    f"{path} holds more than {MOST_COPIES} smaller copies: save it again as one picture"
                )
        elif found is not None:
            raise UserError(f"{path} holds several pictures: split it, one picture a file")
        else:
            found = page
    if found is None:
        raise UserError(f"{path} holds no picture but smaller copies of one")
    return found


def _decoded(path: Path, page: tifffile.TiffPage, data: bytes) -> np.ndarray:
    """(H, W, channels)."""
    convert = f"{path} holds {_describe(page)} pixels: convert it to grey or RGB of 8 or 16 bits"
    if page.photometric not in _KINDS or (str(page.dtype), page.bitspersample) not in _DEPTHS:
        raise UserError(convert)
    if page.compression in _FAX:
        raise UserError(
            f"{path} is compressed as a fax ({_name(page.compression)}), in which damage cannot be told from "
            "the picture: save it as PNG, or again without compression"
        )
    check_parts(page, len(data))
    if page.bitspersample in (2, 4):  # tifffile does not scale them
        return _by_others(path, page, data)
    check_bombs(page, data)
    try:
        pixels = page.asarray()
    except (ValueError, ImportError) as error:
        unsupported = ("imagecodecs", "not supported")
        if isinstance(error, ValueError) and not any(text in str(error) for text in unsupported):
            raise
        return _by_others(path, page, data)
    if page.planarconfig == tifffile.PLANARCONFIG.SEPARATE and pixels.ndim == 3:
        pixels = np.moveaxis(pixels, 0, 2)
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.ndim != 3:
        raise UserError(convert)
    if page.photometric == tifffile.PHOTOMETRIC.YCBCR and page.compression != tifffile.COMPRESSION.JPEG:
        pixels = np.asarray(Image.fromarray(pixels, "YCbCr").convert("RGB"))
    return pixels * np.uint8(255) if pixels.dtype == np.bool_ else pixels


def _by_others(path: Path, page: tifffile.TiffPage, data: bytes) -> np.ndarray:
    """(H, W, channels) of what tifffile cannot read without another package: LZW, say, or 4 bits.

    Pillow reads up to 8 bits; OpenCV reads 16 where the channels of a pixel lie together.
    """
    pixels: np.ndarray | None = None
    jpeg = page.compression == tifffile.COMPRESSION.JPEG
    if page.photometric == tifffile.PHOTOMETRIC.YCBCR and not jpeg:
        raise UserError(f"{path} holds {_describe(page)} pixels: convert it to RGB")
    if jpeg:
        check_jpegs(page, data)
    if page.dtype != np.uint16:
        with errors_of_libtiff(), Image.open(io.BytesIO(data)) as image:
            pixels = np.asarray(image)
        if pixels.dtype == np.bool_:
            pixels = pixels * np.uint8(255)
        if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE:  # Pillow has inverted it
            pixels = ~pixels
    elif page.planarconfig == tifffile.PLANARCONFIG.CONTIG and page.samplesperpixel != 2:
        pixels = decoded(data)
        if pixels is None and page.compression == tifffile.COMPRESSION.LZW:
            raise DamagedError("a strip or tile cannot be decompressed")
    if pixels is None or pixels.shape[:2] != (page.imagelength, page.imagewidth):
        raise UserError(
            f"{path} is compressed by {_name(page.compression)}: pip install imagecodecs, or save it "
            "again without compression"
        )
    return pixels if pixels.ndim == 3 else pixels[..., None]


def _pixels(path: Path, page: tifffile.TiffPage, pixels: np.ndarray) -> np.ndarray:
    colours = _KINDS[tifffile.PHOTOMETRIC(page.photometric)]
    alpha = _alpha(path, page, pixels.shape[2] - colours)
    kept = pixels[..., : colours + (1 if alpha else 0)]
    if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
        kept = np.concatenate([np.iinfo(kept.dtype).max - kept[..., :1], kept[..., 1:]], axis=2)
    if page.photometric == tifffile.PHOTOMETRIC.PALETTE:
        colours8 = np.rint(np.asarray(page.colormap) / 257).astype(np.uint8)  # (3, 2^bits)
        kept = colours8.T[kept[..., 0]]
    return kept[..., 0] if kept.shape[2] == 1 else kept


def _alpha(path: Path, page: tifffile.TiffPage, extra: int) -> bool:
    """Whether the first extra channel is alpha; channels without a meaning are left out."""
    if extra < 0:
        raise DamagedError("it has fewer channels than its colours need")
    if extra == 0:
        return False
    meaning = page.extrasamples[0] if page.extrasamples else tifffile.EXTRASAMPLE.UNSPECIFIED
    if meaning == tifffile.EXTRASAMPLE.ASSOCALPHA:
        raise UserError(f"{path} holds colours multiplied by alpha: save it with straight alpha, or as PNG")
    if extra > 1:
        raise UserError(f"{path} holds {_describe(page)} pixels: convert it to grey or RGB of 8 or 16 bits")
    return bool(meaning == tifffile.EXTRASAMPLE.UNASSALPHA)


def _describe(page: tifffile.TiffPage) -> str:
    whole = page.bitspersample in (8, 16, 32, 64)
    kind = page.dtype if whole else f"{page.bitspersample}-bit"
    return f"{kind} {_name(page.photometric)} with {page.samplesperpixel} channels"


def _name(value: object) -> str:
    return short(str(getattr(value, "name", value)))
