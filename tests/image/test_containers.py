"""Where the picture in a file ends."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from reddit.image.read import read_photo, read_uint8
from reddit.utils.errors import UserError


def picture(height: int = 64, width: int = 96) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    noise = np.random.default_rng(0).integers(0, 60, (height, width, 3))
    return (np.stack([rows, columns, rows + columns], axis=2) + noise).astype(np.uint8)


def encoded(form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(picture()).save(stream, form, **options)
    return stream.getvalue()


def read(folder: Path, data: bytes, extension: str) -> np.ndarray:
    path = folder / f"a{extension}"
    path.write_bytes(data)
    return read_uint8(path)


KINDS = {
    "baseline": (".jpg", encoded("JPEG")),
    "progressive": (".jpg", encoded("JPEG", progressive=True)),
    "restarts": (".jpg", encoded("JPEG", restart_marker_rows=1)),
    "png": (".png", encoded("PNG")),
}


@pytest.mark.parametrize("kind", KINDS)
def test_trailing_bytes_are_ignored(tmp_path: Path, kind: str) -> None:
    extension, data = KINDS[kind]
    whole = read(tmp_path, data, extension)
    assert np.array_equal(read(tmp_path, data + b"\0\0\0\x18ftypmp42" + bytes(5000), extension), whole)
    assert np.array_equal(read(tmp_path, data + data, extension), whole)
    with Image.open(io.BytesIO(data)) as image:
        assert np.array_equal(whole, np.asarray(image))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tenth", range(1, 10))
def test_a_truncated_file_is_refused(tmp_path: Path, kind: str, tenth: int) -> None:
    extension, data = KINDS[kind]
    with pytest.raises(UserError):
        read(tmp_path, data[: tenth * len(data) // 10], extension)


@pytest.mark.parametrize("kind", ["baseline", "restarts"])
@pytest.mark.parametrize("tenth", range(4, 9))
def test_a_truncated_jpeg_with_an_end_marker_is_refused(tmp_path: Path, kind: str, tenth: int) -> None:
    """Recovery programs write such files: the lower part is grey."""
    extension, data = KINDS[kind]
    with pytest.raises(UserError):
        read(tmp_path, data[: tenth * len(data) // 10] + b"\xff\xd9", extension)


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
    with pytest.raises(UserError, match="holds 2 pictures"):
        read_uint8(path)


def test_too_many_pixels_are_refused_by_the_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded("PNG"))
    monkeypatch.setenv("REDDIT_MAX_MEGAPIXELS", "0.001")
    with pytest.raises(UserError, match="REDDIT_MAX_MEGAPIXELS"):
        read_uint8(path)
    monkeypatch.setenv("REDDIT_MAX_MEGAPIXELS", "many")
    with pytest.raises(UserError, match="not a number"):
        read_uint8(path)


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
