"""The end of the picture in a PNG or JPEG, so that truncated files are refused and trailing bytes ignored.

Decoders fill truncated JPEGs with grey instead of refusing them.
"""

from __future__ import annotations

import os
import random
import re
import struct
import zlib
from itertools import pairwise
from pathlib import Path

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
JPEG_MAGIC = b"\xff\xd8"
_END_OF_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # a marker that is no stuffing and no restart
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_SEQUENTIAL = (0xC0, 0xC1)
_FRAMES = (*_SEQUENTIAL, 0xC2)
_PADDING = bytes(256)
_NOISE = bytes(number % 255 for number in random.Random(0).randbytes(4096))  # without markers
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Colour type of a PNG → values of a pixel."""
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""First column and row, and steps, of the passes of an interlaced PNG."""
_PIECE = 1 << 20
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


def check_rows(data: bytes) -> None:
    """See that a whole PNG holds all its rows; Pillow leaves those black that are missing.

    Raises:
        DamagedError: it does not.
    """
    width, height, bits, kind = struct.unpack_from(">IIBB", data, 16)
    pixel = _CHANNELS.get(kind, 1) * bits
    missing = 0
    for left, top, across, down in _PASSES if data[28] else ((0, 0, 1, 1),):
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        missing += rows * (1 + (columns * pixel + 7) // 8) if columns > 0 else 0
    decoder = zlib.decompressobj()
    place = len(PNG_MAGIC)
    try:
        while missing > 0 and place < len(data) and not decoder.eof:
            length = int.from_bytes(data[place : place + 4], "big")
            rest = data[place + 8 : place + 8 + length] if data[place + 4 : place + 8] == b"IDAT" else b""
            while rest and missing > 0:
                missing -= len(decoder.decompress(rest, _PIECE))
                rest = decoder.unconsumed_tail
            place += 12 + length
    except zlib.error as error:
        raise DamagedError(f"its pixels cannot be decompressed: {error}") from error
    if missing > 0:
        raise DamagedError("rows are missing")


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


def whole_jpeg(data: bytes) -> tuple[bytes, bytes | None]:
    """A JPEG without what follows it, such that it can be seen whether it is whole.

    A decoder that misses data at a marker fills up with grey, and one that misses data at the end of its
    input reports it. So the end marker of a picture in one scan is replaced by zeros. Where there are several
    scans, the decoder needs that marker.

    Returns:
        The JPEG; and, if it has several scans, one with noise behind each, which decoders skip if the scan is
        whole and take for pixels if it is not.

    Raises:
        DamagedError: the file ends within a segment, there is no end marker, or scans are missing.
    """
    place, frame, scans, ends = 2, None, _Scans(), [0]
    while True:
        kind, place = _marker(data, place)
        if kind == _END_OF_IMAGE:
            break
        length = int.from_bytes(data[place : place + 2], "big")
        if length < 2 or place + length > len(data):
            raise DamagedError("a segment goes beyond the file's end")
        segment = data[place + 2 : place + length]
        place += length
        if kind in _FRAMES:
            frame = kind
            scans.begin(segment)
        if kind == _START_OF_SCAN:
            scans.add(segment)
            found = _END_OF_SCAN.search(data, place)
            if found is None:
                raise DamagedError("the file ends early")
            place = found.start()
            ends.append(place)
    if scans.count == 0:
        raise DamagedError("it holds no picture data")
    if frame is not None and not scans.complete(progressive=frame not in _SEQUENTIAL):
        raise DamagedError("the file ends early: scans are missing")
    if scans.count == 1 and frame in _SEQUENTIAL:
        return data[: place - 2] + _PADDING, None
    parts = [data[start:end] for start, end in pairwise([*ends, place])]
    return data[:place], _NOISE.join(parts)


class _Scans:
    """What the scans of a JPEG have brought: of each component, the lowest bit of each coefficient."""

    def __init__(self) -> None:
        self.count = 0
        self._lowest: dict[int, dict[int, int]] = {}

    def begin(self, frame: bytes) -> None:
        """Receive the header of the frame, which lists the components."""
        self._lowest = {number: {} for number in frame[6 : 6 + 3 * frame[5] : 3]} if len(frame) > 5 else {}

    def add(self, header: bytes) -> None:
        """Receive the header of a scan."""
        self.count += 1
        if not header or len(header) < 4 + 2 * header[0]:
            raise DamagedError("the header of a scan is too short")
        first, last, bits = header[1 + 2 * header[0] : 4 + 2 * header[0]]
        for number in header[1 : 1 + 2 * header[0] : 2]:
            self._lowest.setdefault(number, {}).update(dict.fromkeys(range(first, last + 1), bits & 15))

    def complete(self, *, progressive: bool) -> bool:
        """Whether nothing is missing; a sequential scan brings a component as a whole."""
        if not progressive:
            return all(self._lowest.values())
        return all(lowest.get(k) == 0 for lowest in self._lowest.values() for k in range(64))


def _marker(data: bytes, place: int) -> tuple[int, int]:
    """The marker at a place, and the place behind it."""
    while place + 1 < len(data) and data[place] == 0xFF and data[place + 1] == 0xFF:
        place += 1
    if place + 1 >= len(data):
        raise DamagedError("the file ends early")
    if data[place] != 0xFF:
        raise DamagedError("bytes where a segment should begin")
    return data[place + 1], place + 2
