"""PNG and TIFF files of 16-bit colour with metadata, which neither Pillow nor OpenCV writes."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

_PNG_START = 33  # the signature and the header chunk
_ROWS = 64


def png_with_metadata(
    png: bytes, exif: bytes | None, icc_profile: bytes | None, dpi: tuple[float, float] | None
) -> bytes:
    """Put metadata chunks behind the header of a PNG (PNG specification, third edition, 11.3).

    Args:
        exif: EXIF data, with or without the six bytes that JPEG puts before them.
    """
    chunks = b""
    if icc_profile:
        chunks += _chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(icc_profile))
    if dpi:
        across, down = (round(value / 0.0254) for value in dpi)
        chunks += _chunk(b"pHYs", struct.pack(">IIB", across, down, 1))  # dots a metre
    if exif:
        chunks += _chunk(b"eXIf", exif.removeprefix(b"Exif\0\0"))
    return png[:_PNG_START] + chunks + png[_PNG_START:]


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def tiff(
    pixels: np.ndarray,
    exif: Image.Exif,
    icc_profile: bytes | None,
    dpi: tuple[float, float] | None,
) -> bytes:
    """A TIFF (revision 6.0) of pixels (H, W) or (H, W, C): grey or RGB, alpha last; uint8 or uint16.

    Compressed by Deflate with the horizontal predictor, without loss.
    """
    planes = pixels if pixels.ndim == 3 else pixels[..., None]
    height, width, channels = planes.shape
    strips = [_strip(planes[top : top + _ROWS]) for top in range(0, height, _ROWS)]
    sizes = [len(strip) for strip in strips]
    tags = ImageFileDirectory_v2()
    tags[256], tags[257] = width, height
    tags[258] = (8 * pixels.dtype.itemsize,) * channels
    tags[259] = 8  # Deflate
    tags[262] = 2 if channels >= 3 else 1  # RGB, or grey from black
    tags[273] = tuple(int(start) for start in np.cumsum([0, *sizes[:-1]]))  # from the end of the tags
    tags[277], tags[278], tags[279] = channels, _ROWS, tuple(sizes)
    tags[284], tags[317] = 1, 2  # channels side by side; horizontal predictor
    if channels in (2, 4):
        tags[338] = 2  # the last channel is alpha, not multiplied in
    if dpi:
        tags[282], tags[283], tags[296] = *dpi, 2
    if icc_profile:
        tags.tagtype[34675] = 7
        tags[34675] = icc_profile
    for tag, value in exif.items():
        nested = tag in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
        if tag not in tags:
            tags[tag] = exif.get_ifd(tag) if nested else value
    return b"II*\0" + struct.pack("<I", 8) + tags.tobytes(8) + b"".join(strips)


def _strip(rows: np.ndarray) -> bytes:
    """Each value but the first of a row becomes its difference from its left neighbour, modulo 2^bits."""
    differences = rows.copy()
    differences[:, 1:] -= rows[:, :-1]
    return zlib.compress(differences.astype(rows.dtype.newbyteorder("<"), copy=False).tobytes())
