"""TIFF in the ways in which others write it: each is read as it is meant, or refused in a line."""

from __future__ import annotations

import io
import lzma
import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from reddit.image import tiff_parts
from reddit.image.libtiff import errors_of_libtiff
from reddit.image.read import read_photo
from reddit.utils.errors import UserError

HEIGHT, WIDTH = 24, 36
ROWS, COLUMNS = np.mgrid[:HEIGHT, :WIDTH]
COLOURS = np.stack([COLUMNS * 6, ROWS * 9, ROWS + COLUMNS], axis=2).astype(np.uint8)
GREY = COLOURS[..., 0]
WHITE_IS_ZERO, PALETTE, YCBCR = 0, 3, 6


def tiff_of(data: bytes, bits: int, photometric: int, channels: int = 1, compression: int = 1) -> bytes:
    """A TIFF of one strip."""
    entries = [
        *((256, WIDTH), (257, HEIGHT), (258, bits), (259, compression), (262, photometric)),
        *((273, 0), (277, channels), (278, HEIGHT), (279, len(data))),
    ]
    extra = b""
    start = 8 + 2 + 12 * (len(entries) + 2) + 4
    if photometric == PALETTE:
        extra = struct.pack(
            f"<{3 << bits}H",
            *(level * 65535 // ((1 << bits) - 1) for level in range(1 << bits)),
            *[0] * (2 << bits),
        )
    parts = []
    for tag, value in entries:
        if tag == 258 and channels > 1:
            parts.append(struct.pack("<HHII", tag, 3, channels, start + len(extra)))
            extra += struct.pack(f"<{channels}H", *[bits] * channels)
        elif tag == 273:
            parts.append(None)
        else:
            parts.append(struct.pack("<HHII", tag, 4, 1, value))
    if photometric == PALETTE:
        parts.append(struct.pack("<HHII", 320, 3, 3 << bits, start))
    if photometric == YCBCR:
        parts.append(struct.pack("<HHIHH", 530, 3, 2, 1, 1))
    parts = [part or struct.pack("<HHII", 273, 4, 1, start + len(extra)) for part in parts]
    head = struct.pack("<2sHIH", b"II", 42, 8, len(parts)) + b"".join(parts)
    return head.ljust(start, b"\0") + extra + data


def read(folder: Path, data: bytes) -> np.ndarray:
    (folder / "a.tif").write_bytes(data)
    return read_photo(folder / "a.tif").pixels


def saved(mode: str, compression: str | None) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(GREY).convert(mode).save(stream, "TIFF", compression=compression)
    return stream.getvalue()


def with_photometric(data: bytes, value: int) -> bytes:
    content = bytearray(data)
    place = content.index(struct.pack("<HHI", 262, 3, 1))
    struct.pack_into("<H", content, place + 8, value)
    return bytes(content)


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "packbits", "tiff_adobe_deflate", "jpeg"])
@pytest.mark.parametrize("mode", ["L", "1"])
def test_white_may_be_zero(mode: str, compression: str | None, tmp_path: Path) -> None:
    """Some decoders invert such pictures, and some do not."""
    if (mode, compression) == ("1", "jpeg"):
        pytest.skip("there is no such file")
    data = saved(mode, compression)
    normal = read(tmp_path, with_photometric(data, 1))
    assert np.array_equal(read(tmp_path, with_photometric(data, WHITE_IS_ZERO)), 255 - normal)


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate"])
def test_palettes_of_every_compression(compression: str | None, tmp_path: Path) -> None:
    stream = io.BytesIO()
    palette = Image.fromarray(COLOURS).quantize(40)
    palette.save(stream, "TIFF", compression=compression)
    found = read(tmp_path, stream.getvalue()).astype(int)
    assert np.abs(found - np.asarray(palette.convert("RGB"))).max() <= 1


@pytest.mark.parametrize("bits", [2, 4])
def test_few_bits_are_scaled(bits: int, tmp_path: Path) -> None:
    levels = GREY >> (8 - bits)
    shifts = np.arange(8 - bits, -1, -bits)
    packed = (levels.reshape(HEIGHT, -1, 8 // bits) << shifts).sum(axis=2).astype(np.uint8).tobytes()
    wanted = (levels.astype(int) * 255 // ((1 << bits) - 1)).astype(np.uint8)
    assert np.array_equal(read(tmp_path, tiff_of(packed, bits, 1)), wanted)
    assert np.array_equal(read(tmp_path, tiff_of(packed, bits, WHITE_IS_ZERO)), 255 - wanted)
    assert np.array_equal(read(tmp_path, tiff_of(packed, bits, PALETTE))[..., 0], wanted)


def test_twelve_bits_are_refused_by_their_number(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds 12-bit MINISBLACK .*convert it to grey or RGB of 8 or 16"):
        read(tmp_path, tiff_of(bytes(HEIGHT * WIDTH * 3 // 2), 12, 1))


@pytest.mark.parametrize("compression", [1, 8])
def test_luma_and_chroma_become_colours(compression: int, tmp_path: Path) -> None:
    data = np.asarray(Image.fromarray(COLOURS).convert("YCbCr")).tobytes()
    data = zlib.compress(data) if compression == 8 else data
    found = read(tmp_path, tiff_of(data, 8, YCBCR, 3, compression)).astype(int)
    assert np.abs(found - COLOURS).max() <= 3


@pytest.mark.parametrize("compression", [8, 34925])
def test_a_strip_that_grows_without_end_is_refused(
    compression: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack = {8: zlib.compress, 34925: lzma.compress}[compression]
    monkeypatch.setattr(tiff_parts, "LARGE_PART", 10_000)
    assert np.array_equal(read(tmp_path, tiff_of(pack(GREY.tobytes()), 8, 1, 1, compression)), GREY)
    with pytest.raises(UserError, match="is damaged: a strip or tile is longer than its pixels"):
        read(tmp_path, tiff_of(pack(GREY.tobytes() + bytes(10**6)), 8, 1, 1, compression))
    with pytest.raises(UserError, match="is damaged: a strip or tile cannot be decompressed"):
        read(tmp_path, tiff_of(b"\xff" * 50 + pack(bytes(10**6))[50:], 8, 1, 1, compression))


@pytest.mark.parametrize("compression", ["group3", "group4", "tiff_ccitt"])
def test_a_fax_is_refused(compression: str, tmp_path: Path) -> None:
    """libtiff repairs its code words, most without a word."""
    with pytest.raises(UserError, match=r"is compressed as a fax .*: save it as PNG"):
        read(tmp_path, saved("1", compression))


def cut(data: bytes, share: float) -> bytes:
    """A TIFF whose last strip ends early."""
    content = bytearray(data)
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages[0].aspage()
        tag = page.tags[279]
    form = {3: "<H", 4: "<I"}[int(tag.dtype)]
    place = tag.valueoffset + (tag.count - 1) * struct.calcsize(form)
    struct.pack_into(form, content, place, int(page.databytecounts[-1] * share))
    return bytes(content)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("compression", ["jpeg", "tiff_lzw", "packbits", "tiff_adobe_deflate", "deep"])
def test_a_strip_that_ends_early_is_refused_in_one_line(
    compression: str, share: float, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """libtiff leaves JPEGs grey and prints lines about others."""
    if compression == "deep":  # by LZW, too
        data = cv2.imencode(".tif", COLOURS.astype(np.uint16) * 257)[1].tobytes()
    else:
        stream = io.BytesIO()
        Image.fromarray(COLOURS).save(stream, "TIFF", compression=compression, strip_size=WIDTH * 3 * 8)
        data = stream.getvalue()
    read(tmp_path, data)
    with pytest.raises(UserError, match=r"is damaged|it is damaged"):
        read(tmp_path, cut(data, share))
    said = capfd.readouterr()
    assert said.out == "" and (
        said.err == "" or (cv2.__version__.startswith("4.8.") and "OpenCV" in said.err)
    )


def test_a_wrong_unit_of_the_resolution_is_ignored(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data = io.BytesIO()
    Image.fromarray(COLOURS).save(data, "TIFF", compression="tiff_lzw", dpi=(300, 300))
    content = bytearray(data.getvalue())
    struct.pack_into("<H", content, content.index(struct.pack("<HHI", 296, 3, 1)) + 8, 13)
    assert np.array_equal(read(tmp_path, bytes(content)), COLOURS)
    assert capfd.readouterr().err == ""


def test_a_jpeg_in_a_tiff_is_no_larger_than_its_strip(tmp_path: Path) -> None:
    data = bytearray(saved("L", "jpeg"))
    place = data.index(b"\xff\xc0")
    struct.pack_into(">HH", data, place + 5, 9000, 9000)
    with pytest.raises(UserError, match="is damaged: a strip or tile is larger than the picture's"):
        read(tmp_path, bytes(data))


def test_lines_of_others_are_printed(capfd: pytest.CaptureFixture[str]) -> None:
    with errors_of_libtiff():
        os.write(2, b"a line\ntempfile.tif: Warning, unknown field.\n  5 %")
    assert capfd.readouterr().err == "a line\n  5 %"
    with pytest.raises(ValueError, match=r"^Bad code word$"), errors_of_libtiff():
        os.write(2, b"Fax4Decode: Bad code word.\n  6 %")
    assert capfd.readouterr().err == "  6 %"
    with pytest.raises(KeyError), errors_of_libtiff():
        raise KeyError("mine")
