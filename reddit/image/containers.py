"""The end of the picture in a PNG or JPEG, so that truncated files are refused and trailing bytes ignored.

Decoders fill truncated JPEGs with grey instead of refusing them.
"""

from __future__ import annotations

import os
import re
import zlib
from pathlib import Path

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
JPEG_MAGIC = b"\xff\xd8"
_END_OF_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # a marker that is no stuffing and no restart
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_SEQUENTIAL = (0xC0, 0xC1)
_FRAMES = (*_SEQUENTIAL, 0xC2)
_PADDING = bytes(256)
_DESCRIBING = (b"eXIf", b"tEXt", b"zTXt", b"iTXt")


class DamagedError(ValueError):
    """The bytes end early or make no sense; the message says where."""


def whole_png(data: bytes) -> bytes:
    """A PNG up to its end chunk, without trailing bytes.

    Raises:
        DamagedError: a chunk is longer than the file, the check sum of one that matters is wrong, or there is
            no end chunk.
    """
    place, view = len(PNG_MAGIC), memoryview(data)
    while place + 12 <= len(data):
        length = int.from_bytes(data[place : place + 4], "big")
        kind = data[place + 4 : place + 8]
        place += 12 + length
        if place > len(data):
            raise DamagedError("a chunk goes beyond the file's end")
        # Pillow does not check that of the pixels; a small letter marks a chunk that a reader may ignore.
        known = int.from_bytes(view[place - 4 : place], "big")
        if kind[:1].isupper() and zlib.crc32(view[place - length - 8 : place - 4]) != known:
            raise DamagedError("a check sum is wrong")
        if kind == b"IEND":
            return data[:place]
    raise DamagedError("the file ends early")


def png_size(path: Path) -> tuple[int, int] | None:
    """(height, width) from the chunks' headers; None for other files, and where a chunk may hold an
    orientation."""
    with path.open("rb") as file:
        head = file.read(24)
        if len(head) < 24 or not head.startswith(PNG_MAGIC) or head[12:16] != b"IHDR":
            return None
        file.seek(len(PNG_MAGIC))
        headers = 0
        while len(chunk := file.read(8)) == 8 and chunk[4:] != b"IEND":
            headers += chunk[4:] == b"IHDR"
            if chunk[4:] in _DESCRIBING or headers > 1:
                return None
            file.seek(int.from_bytes(chunk[:4], "big") + 4, os.SEEK_CUR)
    return int.from_bytes(head[20:24], "big"), int.from_bytes(head[16:20], "big")


def whole_jpeg(data: bytes) -> bytes:
    """A JPEG such that a decoder fails where the picture is not whole.

    The end marker of a picture in one scan is replaced by zeros: a decoder that misses data at a marker fills
    up with grey, and one that misses data at the end of its input reports it.

    Raises:
        DamagedError: the file ends within a segment, or there is no end marker.
    """
    place, scans, frame = 2, 0, None
    while True:
        kind, place = _marker(data, place)
        if kind == _END_OF_IMAGE:
            break
        length = int.from_bytes(data[place : place + 2], "big")
        if length < 2 or place + length > len(data):
            raise DamagedError("a segment goes beyond the file's end")
        frame = kind if kind in _FRAMES else frame
        place += length
        if kind == _START_OF_SCAN:
            scans += 1
            found = _END_OF_SCAN.search(data, place)
            if found is None:
                raise DamagedError("the file ends early")
            place = found.start()
    if scans == 0:
        raise DamagedError("it holds no picture data")
    if scans == 1 and frame in _SEQUENTIAL:
        return data[: place - 2] + _PADDING
    return data[:place]


def _marker(data: bytes, place: int) -> tuple[int, int]:
    """The marker at a place, and the place behind it."""
    while place + 1 < len(data) and data[place] == 0xFF and data[place + 1] == 0xFF:
        place += 1
    if place + 1 >= len(data):
        raise DamagedError("the file ends early")
    if data[place] != 0xFF:
        raise DamagedError("bytes where a segment should begin")
    return data[place + 1], place + 2
