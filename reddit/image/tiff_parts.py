"""The strips and tiles of a TIFF: whether they are whole."""

from __future__ import annotations

import io
import lzma
import math
import zlib
from collections.abc import Callable
from typing import Any

import tifffile
from PIL import Image

from reddit.image.containers import DamagedError, whole_jpeg
from reddit.image.digest import digest, digest_of

_PADDING = 3
"""Most bytes by which writers round the length of a strip up."""
LARGE_PART = 1 << 26
"""Bytes that a strip or tile may always decompress to."""
_MOST_GROWTH = 1100
"""Above the largest factor by which Deflate expands."""
_UNLIMITED: dict[int, Callable[[], Any]] = {
    tifffile.COMPRESSION.ADOBE_DEFLATE: zlib.decompressobj,
    tifffile.COMPRESSION.DEFLATE: zlib.decompressobj,
    tifffile.COMPRESSION.LZMA: lzma.LZMADecompressor,
}
"""Compressions that tifffile decodes to whatever length; the others go through libtiff, which does not."""


def check_parts(page: tifffile.TiffPage, size: int) -> None:
    """See that all strips or tiles lie in the file; tifffile leaves those black that do not.

    Raises:
        DamagedError: one does not, or is longer than its pixels though they are not compressed.
    """
    starts, counts = page.dataoffsets, page.databytecounts
    if len(starts) != math.prod(page.chunked) or len(counts) != len(starts):
        raise DamagedError("strips or tiles are missing")
    if any(
        start <= 0 or count <= 0 or start + count > size for start, count in zip(starts, counts, strict=True)
    ):
        raise DamagedError("the file ends early, or strips or tiles are missing")
    if page.compression == tifffile.COMPRESSION.NONE and page.bitspersample % 8 == 0:
        most = math.prod(page.chunks) * page.bitspersample // 8 + _PADDING
        if max(counts) > most:
            raise DamagedError("a strip or tile is longer than its pixels")


def check_bombs(page: tifffile.TiffPage, data: bytes) -> None:
    """See that no part becomes much longer than its pixels, in pieces that take little memory.

    Raises:
        DamagedError: one does.
    """
    if page.compression not in _UNLIMITED:
        return
    most = 2 * math.prod(page.chunks) * max(1, page.bitspersample // 8) + LARGE_PART
    for start, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        if count * _MOST_GROWTH <= most and page.compression != tifffile.COMPRESSION.LZMA:
            continue
        part, length = memoryview(data)[start : start + count], 0
        decoder = _UNLIMITED[page.compression]()
        try:
            rest: bytes | memoryview = part
            while not decoder.eof and (piece := decoder.decompress(rest, LARGE_PART)):
                length += len(piece)
                if length > most:
                    raise DamagedError("a strip or tile is longer than its pixels")
                rest = getattr(decoder, "unconsumed_tail", b"")
        except (zlib.error, lzma.LZMAError) as error:
            raise DamagedError(f"a strip or tile cannot be decompressed: {error}") from error


def check_jpegs(page: tifffile.TiffPage, data: bytes) -> None:
    """See that all strips or tiles are whole JPEGs; libtiff leaves those grey that end early.

    Raises:
        DamagedError: one is not.
        OSError: one cannot be decoded.
    """
    tables = (page.jpegtables or b"")[:-2]  # without their end marker, in front of each
    for start, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        whole, noisy = whole_jpeg(tables + data[start + 2 if tables else start : start + count])
        with Image.open(io.BytesIO(whole)) as image:
            if image.width * image.height > 2 * math.prod(page.chunks):
                raise DamagedError("a strip or tile is larger than the picture's")
            image.load()
            if noisy and digest(image) != digest_of(noisy):
                raise DamagedError("a scan ends early")
