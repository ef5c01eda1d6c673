"""The formats of pictures, and PNG and TIFF of 16-bit colour, which neither Pillow nor OpenCV writes."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".webp": "WEBP",
    ".bmp": "BMP",
}

_ROWS = 64
_LEVEL = 4  # of zlib: the noise in 16 bits does not compress, whatever the effort
Dpi = tuple[float, float]


def png(pixels: np.ndarray, exif: bytes | None, icc_profile: bytes | None, dpi: Dpi | None) -> bytes:
    """A PNG (third edition) of uint16 pixels (H, W) or (H, W, C): grey or RGB, alpha last.

    Args:
        exif: EXIF data, with or without the six bytes that JPEG puts before them.
    """
    planes = pixels if pixels.ndim == 3 else pixels[..., None]
    height, width, channels = planes.shape
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    data = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0))
    if icc_profile:
        data += _chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(icc_profile))
    if dpi:
        across, down = (round(value / 0.0254) for value in dpi)
        data += _chunk(b"pHYs", struct.pack(">IIB", across, down, 1))  # dots a metre
    if exif:
        data += _chunk(b"eXIf", exif.removeprefix(b"Exif\0\0"))
    return data + _chunk(b"IDAT", _filtered(planes)) + _chunk(b"IEND", b"")


def _filtered(planes: np.ndarray) -> bytes:
    """Each byte becomes its difference from the one above it, modulo 256 (filter 2); compressed."""
    compressor = zlib.compressobj(_LEVEL)
    above = np.zeros((1, planes.shape[1] * planes.shape[2] * 2), np.uint8)
    parts = []
    for top in range(0, len(planes), _ROWS):
        rows = np.ascontiguousarray(planes[top : top + _ROWS], dtype=">u2").view(np.uint8)
        rows = rows.reshape(len(rows), -1)
        differences = rows - np.concatenate([above, rows[:-1]])
        parts.append(compressor.compress(np.pad(differences, ((0, 0), (1, 0)), constant_values=2).tobytes()))
        above = rows[-1:]
    return b"".join([*parts, compressor.flush()])


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def tiff(pixels: np.ndarray, exif: Image.Exif, icc_profile: bytes | None, dpi: Dpi | None) -> bytes:
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
        nested = tag in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo) and not isinstance(value, dict)
        if tag not in tags:
            tags[tag] = exif.get_ifd(tag) if nested else value
    return b"II*\0" + struct.pack("<I", 8) + tags.tobytes(8) + b"".join(strips)


def _strip(rows: np.ndarray) -> bytes:
    """Each value but the first of a row becomes its difference from its left neighbour, modulo 2^bits."""
    differences = rows.copy()
    differences[:, 1:] -= rows[:, :-1]
    return zlib.compress(differences.astype(rows.dtype.newbyteorder("<"), copy=False).tobytes(), _LEVEL)
