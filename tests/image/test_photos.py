from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms, TiffImagePlugin, TiffTags

from reddit.image.read import Photo, read_photo, read_uint8
from reddit.image.write import write_photo
from reddit.utils.errors import UserError

BASE, IFD = ExifTags.Base, ExifTags.IFD
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def pixels(shape: tuple[int, ...], dtype: type = np.uint8) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(0, int(np.iinfo(dtype).max) + 1, shape).astype(dtype)


def described() -> Photo:
    """A photograph that says all it can of itself."""
    exif = Image.Exif()
    exif[BASE.Make] = "Maker"
    exif[BASE.Artist] = "Somebody"
    exif[BASE.Orientation] = 1
    exif[IFD.Exif] = {BASE.DateTimeOriginal: "2020:01:02 03:04:05", BASE.ExposureTime: 0.25}
    exif[IFD.GPSInfo] = {1: "N", 2: (47.0, 22.0, 30.0)}
    return Photo(pixels((20, 30, 3)), exif, ICC, (300.0, 150.0))


# Pixels there and back


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [(), (2,), (3,), (4,)])
@pytest.mark.parametrize("extension", [".png", ".tif", ".PNG"])
def test_lossless_formats_keep_every_kind(
    tmp_path: Path, extension: str, channels: tuple[int, ...], dtype: type
) -> None:
    if (extension, channels, dtype) == (".tif", (2,), np.uint16):
        pytest.skip("Pillow knows no 16-bit TIFF of grey and alpha")
    path = tmp_path / "new" / f"a{extension}"
    array = pixels((70, 33, *channels), dtype)  # more rows than a strip of a TIFF
    write_photo(path, Photo(array))
    again = read_photo(path).pixels
    assert again.dtype == dtype and np.array_equal(again, array)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [(), (3,)])
def test_other_programs_read_what_is_written(tmp_path: Path, channels: tuple[int, ...], dtype: type) -> None:
    array = pixels((70, 33, *channels), dtype)
    for extension in (".png", ".tif"):
        write_photo(tmp_path / f"a{extension}", replace(described(), pixels=array))
        theirs = cv2.imread(str(tmp_path / f"a{extension}"), cv2.IMREAD_UNCHANGED)
        assert np.array_equal(theirs[..., ::-1] if channels else theirs, array)


@pytest.mark.parametrize(
    ("extension", "channels", "comes_back"),
    [(".jpg", (3,), (3,)), (".jpg", (), ()), (".webp", (4,), (4,)), (".webp", (), (3,)), (".bmp", (), ())],
)
def test_eight_bit_formats_round_and_come_close(
    tmp_path: Path, extension: str, channels: tuple[int, ...], comes_back: tuple[int, ...]
) -> None:
    flat = np.full((16, 16, *channels), 40 * 257 + 100, np.uint16)
    write_photo(tmp_path / f"a{extension}", Photo(flat))
    again = read_photo(tmp_path / f"a{extension}").pixels
    assert again.dtype == np.uint8 and again.shape == (16, 16, *comes_back)
    assert abs(again.astype(int) - 40).max() <= 2


def test_an_eight_bit_photograph_is_read_as_scoring_reads_it(tmp_path: Path) -> None:
    smooth = cv2.GaussianBlur(pixels((64, 48, 3)), (9, 9), 3)
    for extension in (".png", ".jpg", ".bmp", ".tif"):
        write_photo(tmp_path / f"a{extension}", Photo(smooth))
        ours = read_photo(tmp_path / f"a{extension}").pixels
        assert np.array_equal(ours, read_uint8(tmp_path / f"a{extension}"))


@pytest.mark.parametrize(
    ("mode", "shape"),
    [("1", (8, 9)), ("P", (8, 9, 3)), ("L", (8, 9)), ("LA", (8, 9, 2)), ("RGBA", (8, 9, 4))],
)
def test_modes_become_grey_or_colour(tmp_path: Path, mode: str, shape: tuple[int, ...]) -> None:
    image = Image.fromarray(pixels((8, 9, 3))).convert(mode)
    image.save(tmp_path / "a.png")
    read = read_photo(tmp_path / "a.png").pixels
    expected = image.convert("L" if mode == "1" else "RGB" if mode == "P" else mode)
    assert read.shape == shape and np.array_equal(read, np.asarray(expected))


def test_a_palette_with_a_transparent_colour_has_alpha(tmp_path: Path) -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 200, 100, 50])
    image.putpixel((0, 0), 0)
    image.save(tmp_path / "a.png", transparency=0)
    read = read_photo(tmp_path / "a.png").pixels
    assert read[0, 0, 3] == 0 and read[1, 1].tolist() == [200, 100, 50, 255]


def test_the_first_picture_of_an_mpo_file_is_read(tmp_path: Path) -> None:
    first, second = (Image.new("RGB", (8, 8), shade) for shade in ("navy", "white"))
    first.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[second])
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.format == "MPO"
    assert read_photo(tmp_path / "a.jpg").pixels.mean() == pytest.approx(128 / 3, abs=2)


# Orientation


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_photograph_is_turned_upright(tmp_path: Path, orientation: int, dtype: type) -> None:
    """Against a picture turned by hand: where EXIF 2.32 says that row 0 and column 0 are."""
    upright = pixels((4, 6, 3), dtype)
    stored = {
        1: upright,
        2: upright[:, ::-1],  # mirrored
        3: upright[::-1, ::-1],  # upside down
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),  # row 0 is the left side, column 0 the top
        6: upright.transpose(1, 0, 2)[::-1],  # row 0 is the right side, column 0 the top
        7: upright.transpose(1, 0, 2)[::-1, ::-1],  # the right side, the bottom
        8: upright.transpose(1, 0, 2)[:, ::-1],  # the left side, the bottom
    }[orientation]
    exif = Image.Exif()
    exif[BASE.Orientation] = orientation
    exif[IFD.Exif] = {BASE.ExifImageWidth: stored.shape[1], BASE.ExifImageHeight: stored.shape[0]}
    write_photo(tmp_path / "a.png", Photo(np.ascontiguousarray(stored), exif))
    photo = read_photo(tmp_path / "a.png")
    assert np.array_equal(photo.pixels, upright)
    write_photo(tmp_path / "b.jpg", photo)
    with Image.open(tmp_path / "b.jpg") as image:
        said = image.getexif()
        details = said.get_ifd(IFD.Exif)
        assert image.size == (6, 4) and said[BASE.Orientation] == 1
        assert (details[BASE.ExifImageWidth], details[BASE.ExifImageHeight]) == (6, 4)


# Metadata


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("extension", [".jpg", ".png", ".tif", ".webp"])
def test_metadata_goes_from_any_format_to_any_other(tmp_path: Path, extension: str, dtype: type) -> None:
    array = pixels((20, 30, 3), dtype)
    write_photo(tmp_path / f"first{extension}", replace(described(), pixels=array))
    for target in (".jpg", ".png", ".tif", ".webp"):
        write_photo(tmp_path / f"second{target}", read_photo(tmp_path / f"first{extension}"))
        with Image.open(tmp_path / f"second{target}") as image:
            exif = image.getexif()
            assert exif[BASE.Make] == "Maker" and exif[BASE.Artist] == "Somebody"
            details, place = exif.get_ifd(IFD.Exif), exif.get_ifd(IFD.GPSInfo)
            assert details[BASE.DateTimeOriginal] == "2020:01:02 03:04:05"
            assert float(details[BASE.ExposureTime]) == 0.25
            assert place[1] == "N" and tuple(map(float, place[2])) == (47, 22, 30)
            assert image.info["icc_profile"] == ICC
            if ".webp" not in (extension, target):
                assert image.info["dpi"] == pytest.approx((300, 150), abs=0.1)


def test_the_layout_of_a_tiff_is_not_carried_into_other_files(tmp_path: Path) -> None:
    Image.fromarray(pixels((20, 30, 3))).save(tmp_path / "a.tif", compression="tiff_lzw", dpi=(300, 300))
    photo = read_photo(tmp_path / "a.tif")
    assert not {BASE.Compression, BASE.StripOffsets, BASE.ImageWidth} & set(photo.exif)
    write_photo(tmp_path / "b.jpg", photo)
    assert read_photo(tmp_path / "b.jpg").dpi == pytest.approx((300, 300))


def test_the_cameras_thumbnail_is_dropped(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[BASE.Make] = "Maker"
    data = bytearray(exif.tobytes())
    directory = bytes.fromhex("0001 0112 0003 00000001 0001 0000 00000000")  # one entry, and none after it
    assert data.endswith(b"\0\0\0\0Maker\0")  # where the next directory begins, none yet; and the text
    data[-10:-6] = (len(data) - len("Exif00")).to_bytes(4, "big")
    data += directory
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg", exif=bytes(data))
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.getexif().get_ifd(IFD.IFD1)
    photo = read_photo(tmp_path / "a.jpg")
    write_photo(tmp_path / "b.jpg", photo)
    with Image.open(tmp_path / "b.jpg") as image:
        assert image.getexif()[BASE.Make] == "Maker" and not image.getexif().get_ifd(IFD.IFD1)


def test_damaged_metadata_is_dropped(tmp_path: Path) -> None:
    flat = Image.new("RGB", (8, 8), (10, 20, 30))
    flat.save(tmp_path / "a.png", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\x12" * 40)
    photo = read_photo(tmp_path / "a.png")
    assert photo.pixels[0, 0].tolist() == [10, 20, 30]
    write_photo(tmp_path / "b.jpg", photo)


# Mistakes


def line_of(path: Path) -> str:
    with pytest.raises(UserError) as error:
        read_photo(path)
    assert "\n" not in str(error.value) and str(path) in str(error.value)
    return str(error.value)


def test_a_colour_profile_that_is_a_number_is_left_out(tmp_path: Path) -> None:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[34675] = 7  # ICC profile
    tags.tagtype[34675] = TiffTags.LONG
    picture = Image.new("RGB", (9, 6), "navy")
    picture.save(tmp_path / "a.tif", tiffinfo=tags)
    with Image.open(tmp_path / "a.tif") as found:
        assert found.info["icc_profile"] == 7  # as Pillow gives it
    photo = read_photo(tmp_path / "a.tif")
    assert photo.icc_profile is None
    write_photo(tmp_path / "a.jpg", photo)


def test_files_that_are_no_whole_pictures(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    assert "No such file" in line_of(path)
    path.write_bytes(b"")
    assert "empty" in line_of(path)
    path.write_text("a letter")
    assert "no picture of a kind known here" in line_of(path)
    write_photo(path, Photo(pixels((64, 64, 3))))
    for dtype in (np.uint8, np.uint16):
        for extension in (".png", ".tif", ".jpg", ".webp"):
            cut = tmp_path / f"cut{extension}"
            write_photo(cut, Photo(pixels((64, 64, 3), dtype)))
            cut.write_bytes(cut.read_bytes()[:-2000])
            assert "damaged" in line_of(cut), cut


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_png_with_damaged_data_is_refused(tmp_path: Path, dtype: type) -> None:
    path = tmp_path / "a.png"
    write_photo(path, Photo(pixels((64, 64, 3), dtype)))
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 200] = bytes(255 - value for value in data[middle : middle + 200])
    path.write_bytes(data)
    assert "damaged" in line_of(path)


def test_pictures_of_unsupported_kinds_are_refused_by_name(tmp_path: Path) -> None:
    image = Image.fromarray(pixels((8, 8, 3)))
    image.convert("CMYK").save(tmp_path / "a.jpg")
    assert "CMYK" in line_of(tmp_path / "a.jpg")
    image.save(tmp_path / "a.gif")
    assert "GIF" in line_of(tmp_path / "a.gif")
    image.save(tmp_path / "a.webp", save_all=True, append_images=[image.rotate(90)])
    assert "2 pictures" in line_of(tmp_path / "a.webp")
    Image.fromarray(np.ones((8, 8), np.float32)).save(tmp_path / "a.tif")
    assert "float32 MINISBLACK" in line_of(tmp_path / "a.tif")


def test_what_a_format_cannot_hold_is_refused(tmp_path: Path) -> None:
    photo = Photo(pixels((8, 8, 4)))
    with pytest.raises(UserError, match=r"a\.jpg: JPEG holds no transparency; use --format png"):
        write_photo(tmp_path / "a.jpg", photo)
    with pytest.raises(UserError, match=r"a\.gif: unknown extension"):
        write_photo(tmp_path / "a.gif", photo)
    with pytest.raises(UserError, match=r"a\.webp as WEBP"):
        write_photo(tmp_path / "a.webp", Photo(np.zeros((1, 17000, 3), np.uint8)))
    assert not list(tmp_path.iterdir())
