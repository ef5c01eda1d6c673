"""Reading TIFF by its tags."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import tifffile
from PIL import ExifTags, Image

from reddit.image.extras import CheckSize
from reddit.utils.errors import UserError

_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_KINDS = {
    tifffile.PHOTOMETRIC.MINISWHITE: 1,
    tifffile.PHOTOMETRIC.MINISBLACK: 1,
    tifffile.PHOTOMETRIC.RGB: 3,
    tifffile.PHOTOMETRIC.YCBCR: 3,
    tifffile.PHOTOMETRIC.PALETTE: 1,
}
"""Photometric interpretation → channels without the extra ones."""


def is_tiff(data: bytes) -> bool:
    """Whether bytes begin as a TIFF does."""
    return data.startswith(_MAGIC)


def tiff_orientation(data: bytes) -> Image.Exif:
    """EXIF data with the orientation of a TIFF and nothing else."""
    exif = Image.Exif()
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        tag = file.pages[0].aspage().tags.get(274)
        if tag is not None:
            exif[ExifTags.Base.Orientation] = int(tag.value)
    return exif


def read_tiff(path: Path, data: bytes, check_size: CheckSize) -> np.ndarray:
    """The picture of a TIFF, not yet turned: uint8 or uint16, (H, W) or (H, W, C), alpha last.

    Args:
        path: for messages.
        check_size: (path, width, height), which raises if the picture is too large.

    Raises:
        UserError: several pictures, or pixels of another kind.
    """
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        pages = [page for page in file.pages if not page.subfiletype & 1]  # bit 0: a smaller copy
        if len(pages) != 1:
            raise UserError(f"{path} holds {len(pages)} pictures: split it, one picture a file")
        page = pages[0].aspage()
        check_size(path, page.imagewidth, page.imagelength)
        return _pixels(path, page, _decoded(path, page, data))


def _decoded(path: Path, page: tifffile.TiffPage, data: bytes) -> np.ndarray:
    """(H, W, channels)."""
    convert = f"{path} holds {_describe(page)} pixels: convert it to grey or RGB of 8 or 16 bits"
    if page.photometric not in _KINDS or page.dtype not in (np.uint8, np.uint16, np.bool_):
        raise UserError(convert)
    try:
        pixels = page.asarray()
    except ValueError as error:
        if "imagecodecs" not in str(error):
            raise
        return _by_others(path, page, data)
    if page.planarconfig == tifffile.PLANARCONFIG.SEPARATE and pixels.ndim == 3:
        pixels = np.moveaxis(pixels, 0, 2)
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.ndim != 3:
        raise UserError(convert)
    return pixels * np.uint8(255) if pixels.dtype == np.bool_ else pixels


def _by_others(path: Path, page: tifffile.TiffPage, data: bytes) -> np.ndarray:
    """(H, W, channels) of a compression, such as LZW, for which tifffile needs another package.

    Pillow reads 8 bits; OpenCV reads 16 where the channels of a pixel lie together.
    """
    pixels: np.ndarray | None = None
    if page.dtype == np.uint8 and page.photometric != tifffile.PHOTOMETRIC.PALETTE:
        with Image.open(io.BytesIO(data)) as image:
            pixels = np.asarray(image)
    elif page.planarconfig == tifffile.PLANARCONFIG.CONTIG and page.samplesperpixel != 2:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        if pixels is not None and pixels.ndim == 3:
            pixels = pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]
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
        colourmap = np.asarray(page.colormap)  # (3, 2^bits), uint16
        kept = np.rint(np.moveaxis(colourmap[:, kept[..., 0]], 0, 2) / 257).astype(np.uint8)
    return kept[..., 0] if kept.shape[2] == 1 else kept


def _alpha(path: Path, page: tifffile.TiffPage, extra: int) -> bool:
    """Whether the first extra channel is alpha; channels without a meaning are left out."""
    if extra <= 0:
        return False
    meaning = page.extrasamples[0] if page.extrasamples else tifffile.EXTRASAMPLE.UNSPECIFIED
    if meaning == tifffile.EXTRASAMPLE.ASSOCALPHA:
        raise UserError(f"{path} holds colours multiplied by alpha: save it with straight alpha, or as PNG")
    if extra > 1:
        raise UserError(f"{path} holds {_describe(page)} pixels: convert it to grey or RGB of 8 or 16 bits")
    return bool(meaning == tifffile.EXTRASAMPLE.UNASSALPHA)


def _describe(page: tifffile.TiffPage) -> str:
    return f"{page.dtype} {_name(page.photometric)} with {page.samplesperpixel} channels"


def _name(value: object) -> str:
    return str(getattr(value, "name", value))
