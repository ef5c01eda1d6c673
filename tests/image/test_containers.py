"""Where the picture in a file ends."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from reddit.image.read import Photo, read_photo, read_uint8
from reddit.image.write import write_photo
from reddit.utils.errors import UserError


def picture(height: int = 64, width: int = 96) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    noise = np.random.default_rng(0).integers(0, 60, (height, width, 3))
    return (np.stack([rows, columns, rows + columns], axis=2) + noise).astype(np.uint8)


def encoded(form: str, mode: str = "RGB", **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(picture()).convert(mode).save(stream, form, **options)
    return stream.getvalue()


def read(folder: Path, data: bytes, extension: str) -> np.ndarray:
    path = folder / f"a{extension}"
    path.write_bytes(data)
    return read_uint8(path)


KINDS = {
    "baseline": (".jpg", encoded("JPEG")),
    "progressive": (".jpg", encoded("JPEG", progressive=True)),
    "restarts": (".jpg", encoded("JPEG", restart_marker_rows=1)),
    "grey": (".jpg", encoded("JPEG", "L", progressive=True)),
    "png": (".png", encoded("PNG")),
}


@pytest.mark.parametrize("kind", KINDS)
def test_trailing_bytes_are_ignored(tmp_path: Path, kind: str) -> None:
    extension, data = KINDS[kind]
    whole = read(tmp_path, data, extension)
    assert np.array_equal(read(tmp_path, data + b"\0\0\0\x18ftypmp42" + bytes(5000), extension), whole)
    assert np.array_equal(read(tmp_path, data + data, extension), whole)
    with Image.open(io.BytesIO(data)) as image:
        assert np.array_equal(whole, np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tenth", range(1, 10))
def test_a_truncated_file_is_refused(tmp_path: Path, kind: str, tenth: int) -> None:
    extension, data = KINDS[kind]
    with pytest.raises(UserError):
        read(tmp_path, data[: tenth * len(data) // 10], extension)


@pytest.mark.parametrize("kind", ["baseline", "restarts", "progressive", "grey"])
@pytest.mark.parametrize("tenth", range(2, 10))
def test_a_truncated_jpeg_with_an_end_marker_is_refused(tmp_path: Path, kind: str, tenth: int) -> None:
    """Recovery programs write such files: the lower part is grey, or coarse where it is progressive."""
    extension, data = KINDS[kind]
    with pytest.raises(UserError):
        read(tmp_path, data[: tenth * len(data) // 10] + b"\xff\xd9", extension)


def png_of(rows: list[bytes], bits: int = 8, kind: int = 2, interlaced: int = 0) -> bytes:
    """A PNG of 5×4 pixels from the bytes of its rows, without filters."""
    header = struct.pack(">IIBBBBB", 5, 4, bits, kind, 0, 0, interlaced)
    chunks = {b"IHDR": header, b"IDAT": zlib.compress(b"".join(b"\0" + row for row in rows)), b"IEND": b""}
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks.items()
    )


# Adam7: columns of the rows of each pass in 5×4 pixels.
INTERLACED = [1, 1, 1, 3, 2, 2, 5, 5]


@pytest.mark.parametrize(("bits", "kind", "row"), [(8, 2, 15), (8, 0, 5), (1, 0, 1), (8, 6, 20), (16, 2, 30)])
def test_a_png_without_all_its_rows_is_damaged(bits: int, kind: int, row: int, tmp_path: Path) -> None:
    """Its chunks are whole; Pillow leaves the other rows black."""
    black, grey = bytes(row), b"\x70" * row
    assert read(tmp_path, png_of([grey] * 3 + [black], bits, kind), ".png").shape == (4, 5, 3)
    for rows in ([grey] * 3, [grey, grey, grey, black[1:]], []):
        with pytest.raises(UserError, match="is damaged"):
            read(tmp_path, png_of(rows, bits, kind), ".png")


def test_an_interlaced_png_without_all_its_passes_is_damaged(tmp_path: Path) -> None:
    rows = [b"\x70" * 3 * columns for columns in INTERLACED]
    assert (read(tmp_path, png_of(rows, interlaced=1), ".png") == 0x70).all()
    for count in range(len(rows)):
        with pytest.raises(UserError, match="is damaged"):
            read(tmp_path, png_of(rows[:count], interlaced=1), ".png")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_every_picture_is_read_upright(tmp_path: Path, form: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    options = {"exif": exif} | ({"lossless": True} if form == "WEBP" else {})
    found = read(tmp_path, encoded(form, **options), f".{form.lower()}")
    assert found.shape == ((64, 96, 3) if orientation < 5 else (96, 64, 3))
    assert abs(found.mean() - picture().mean()) < 1


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("layout", [{"rowsperstrip": 16}, {"tile": (32, 32)}])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_the_layout_of_a_tiff_changes_nothing(
    tmp_path: Path, planar: str, compression: str | None, layout: dict[str, object], kind: type
) -> None:
    pixels = picture().astype(kind) * (257 if kind is np.uint16 else 1)
    stored = np.moveaxis(pixels, 2, 0) if planar == "separate" else pixels
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, stored, photometric="rgb", planarconfig=planar, compression=compression, **layout)
    assert np.array_equal(read_photo(path).pixels, pixels)


def test_a_smaller_copy_is_no_second_picture(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        file.write(picture(), photometric="rgb")
        file.write(picture()[::4, ::4], photometric="rgb", subfiletype=1)
    assert np.array_equal(read_uint8(path), picture())
    with tifffile.TiffWriter(path) as file:
        file.write(picture(), photometric="rgb")
        file.write(picture(), photometric="rgb")
    with pytest.raises(UserError, match="holds several pictures"):
        read_uint8(path)


@pytest.mark.parametrize("bits", [8, 16])
def test_a_changed_byte_of_a_png_is_seen(bits: int, tmp_path: Path) -> None:
    """Also where it is still a picture, but another one."""
    levels = np.random.default_rng(0).integers(0, 2**bits, (9, 7, 3))
    path = tmp_path / "a.png"
    write_photo(path, Photo(levels.astype(np.uint8 if bits == 8 else np.uint16)))
    whole = path.read_bytes()
    start, end = whole.index(b"IDAT") + 4, whole.index(b"IEND") - 8
    for place in range(start, end, 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.raises(UserError, match="is damaged: a check sum is wrong"):
            read_uint8(path)


def write_deep(path: Path) -> None:
    deep = picture().astype(np.uint16)
    if path.suffix == ".tif":
        tifffile.imwrite(path, deep, photometric="rgb")
    else:
        write_photo(path, Photo(deep))


@pytest.mark.parametrize("extension", [".png", ".tif"])
def test_too_many_pixels_are_refused_by_the_header(
    extension: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pixel of 16-bit colour takes twice the memory and counts one and a half."""
    path, deep = tmp_path / f"a{extension}", tmp_path / f"deep{extension}"
    Image.fromarray(picture()).save(path)  # 6144 pixels
    write_deep(deep)
    monkeypatch.setenv("REDDIT_MAX_MEGAPIXELS", "0.001")
    with pytest.raises(
        UserError, match=r"96×64 pixels, more than 0\.001 megapixels; shrink it, or raise REDDIT_M"
    ):
        read_uint8(path)
    monkeypatch.setenv("REDDIT_MAX_MEGAPIXELS", "0.009")
    assert read_uint8(path).size
    with pytest.raises(UserError, match=r"96×64 pixels, more than 0\.006 megapixels"):
        read_uint8(deep)
    monkeypatch.setenv("REDDIT_MAX_MEGAPIXELS", "0.01")
    assert read_uint8(deep).size


@pytest.mark.parametrize("limit", ["many", "nan", "inf", "-1", "0"])
def test_a_limit_that_is_none(limit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").write_bytes(encoded("PNG"))
    monkeypatch.setenv("REDDIT_MAX_MEGAPIXELS", limit)
    with pytest.raises(UserError, match=f"REDDIT_MAX_MEGAPIXELS={limit}: not a number"):
        read_uint8(tmp_path / "a.png")


@pytest.mark.parametrize("extension", [".png", ".tif", ".jpg"])
def test_the_limit_is_ours_and_not_that_of_pillow(
    extension: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which is 179 megapixels; phones take pictures of 200."""
    Image.fromarray(picture()).save(tmp_path / f"a{extension}")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert read_uint8(tmp_path / f"a{extension}").shape == (64, 96, 3)


def test_a_palette_costs_no_more_than_its_picture(tmp_path: Path) -> None:
    """Its colours have 16 bits and were once looked up as such."""
    levels = picture()[..., 0]
    colours = np.random.default_rng(0).integers(0, 256, (3, 256)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", levels, photometric="palette", colormap=colours * 257)
    tracemalloc.start()
    read = read_photo(tmp_path / "a.tif").pixels
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.array_equal(read, np.moveaxis(colours[:, levels], 0, 2))
    assert peak < 20 * levels.size + 200_000


# TIFF: what its tags leave out


def changed_tag(data: bytes, tag: int, field: str, value: int) -> bytes:
    """A little-endian TIFF with another tag, count or value in the first entry of a tag."""
    content = bytearray(data)
    (start,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, start)
    (entry,) = (
        e
        for e in range(start + 2, start + 2 + 12 * count, 12)
        if content[e : e + 2] == struct.pack("<H", tag)
    )
    place, form = {"tag": (0, "<H"), "count": (4, "<I"), "value": (8, "<I")}[field]
    struct.pack_into(form, content, entry + place, value)
    return bytes(content)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize(
    ("tag", "field", "value"),
    [
        (279, "tag", 65000),  # no lengths of strips
        (279, "count", 10),  # of one strip too few
        (279, "value", 0),
        (273, "count", 10),
        (277, "tag", 65000),  # no number of channels
        (259, "tag", 65000),  # no compression named
    ],
)
def test_a_tiff_without_all_its_strips_is_damaged(
    compression: str | None, tag: int, field: str, value: int, tmp_path: Path
) -> None:
    """tifffile leaves black what it does not find."""
    noise = np.random.default_rng(0).integers(0, 256, (53, 41, 3)).astype(np.uint8)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, noise, photometric="rgb", rowsperstrip=5, compression=compression)
    assert np.array_equal(read_uint8(path), noise)
    path.write_bytes(changed_tag(path.read_bytes(), tag, field, value))
    if (tag, compression) == (259, None):
        assert np.array_equal(read_uint8(path), noise)  # none is the default
        return
    with pytest.raises(UserError, match="is damaged: "):
        read_uint8(path)


def test_pages_without_end_are_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        file.write(picture(), photometric="rgb")
        for _ in range(70):
            file.write(picture()[::16, ::16], photometric="rgb", subfiletype=1)
    with pytest.raises(UserError, match="holds more than 64 smaller copies"):
        read_uint8(path)


def test_nothing_but_the_error_is_said_of_a_damaged_tiff(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, picture().astype(np.uint16), photometric="rgb")
    path.write_bytes(changed_tag(path.read_bytes(), 273, "tag", 65000))
    with pytest.raises(UserError, match="is damaged"):
        read_uint8(path)
    said = capfd.readouterr()
    assert said.out == said.err == ""


def test_a_folder_is_no_picture(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no file but a folder"):
        read_uint8(tmp_path)


@pytest.mark.parametrize("extension", [".nef", ".dng", ".CR2"])
def test_a_raw_file_never_gives_its_thumbnail(tmp_path: Path, extension: str) -> None:
    """A TIFF by its bytes, as many raw files are."""
    path = tmp_path / f"a{extension}"
    tifffile.imwrite(path.with_suffix(".tif"), picture(), photometric="rgb")
    path.with_suffix(".tif").rename(path)
    with pytest.raises(UserError, match="raw file"):
        read_uint8(path)
