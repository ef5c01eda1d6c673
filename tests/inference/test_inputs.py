from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image, ImageOps

from reddit.image.read import Photo
from reddit.image.write import write_photo
from reddit.inference.enhancer import Enhancer, EnhanceWarning
from reddit.utils.errors import UserError

ORIENTATION = ExifTags.Base.Orientation
WHITE = {np.uint8: 255, np.uint16: 65535, np.float16: 1, np.float32: 1, np.float64: 1}


def dark(*shape: int, dtype: type = np.uint8, top: float = 0.15) -> np.ndarray:
    values = np.random.default_rng(0).random(shape) * top * WHITE[dtype]
    return (values if np.dtype(dtype).kind == "f" else np.rint(values)).astype(dtype)


# Arrays and tensors


@pytest.mark.parametrize("dtype", WHITE)
@pytest.mark.parametrize("channels", [(), (2,), (3,), (4,)])
def test_the_result_is_an_array_of_the_same_dtype_and_channels(
    model: Enhancer, channels: tuple[int, ...], dtype: type
) -> None:
    picture = dark(20, 31, *channels, dtype=dtype)
    before = picture.copy()
    bright = model.enhance(picture)
    assert bright.dtype == dtype and bright.shape == picture.shape
    assert np.array_equal(picture, before)
    assert bright.min() >= 0 and bright.max() <= WHITE[dtype]
    if channels in ((2,), (4,)):
        assert np.array_equal(bright[..., -1], picture[..., -1])
        assert not np.array_equal(bright[..., 0], picture[..., 0])


@pytest.mark.parametrize("shape", [(3, 20, 31), (1, 3, 20, 31), (2, 3, 20, 31)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_the_result_is_a_tensor_of_the_same_shape_and_dtype(
    model: Enhancer, shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    pictures = 0.15 * torch.rand(shape, generator=torch.Generator().manual_seed(0)).to(dtype)
    bright = model.enhance(pictures)
    assert bright.shape == pictures.shape and bright.dtype == dtype
    assert bright.min() >= 0 and bright.max() <= 1
    if len(shape) == 4:  # the noise depends on the picture, not on its place in the batch
        assert all(torch.equal(bright[k], model.enhance(pictures[k])) for k in range(len(pictures)))


# Pillow images


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("L", "L"), ("LA", "LA"), ("RGB", "RGB"), ("RGBA", "RGBA"), ("1", "L"), ("P", "RGB"), ("YCbCr", "RGB")],
)
def test_pillow_images_are_enhanced_as_their_arrays(model: Enhancer, mode: str, expected: str) -> None:
    image = Image.fromarray(dark(20, 31, 4)).convert(mode)
    bright = model.enhance(image)
    assert isinstance(bright, Image.Image) and bright.mode == expected and bright.size == (31, 20)
    assert np.array_equal(np.asarray(bright), model.enhance(np.asarray(image.convert(expected))))


def test_sixteen_bit_pillow_images_stay_deep(model: Enhancer) -> None:
    grey = dark(20, 31, dtype=np.uint16)
    bright = model.enhance(Image.fromarray(grey))
    assert bright.mode == "I;16" and np.array_equal(np.asarray(bright), model.enhance(grey))


def test_a_transparent_palette_gives_alpha(model: Enhancer, tmp_path: Path) -> None:
    image = Image.new("P", (31, 20), 0)
    image.putpalette([10, 20, 30, 40, 40, 40])
    image.info["transparency"] = 0
    assert model.enhance(image).getpixel((0, 0))[3] == 0


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("extension", ["png", "jpg", "tif", None])
def test_pillow_images_are_turned_upright(
    model: Enhancer, tmp_path: Path, extension: str | None, orientation: int
) -> None:
    image = Image.fromarray(dark(20, 31, 3))
    image.getexif()[ORIENTATION] = orientation
    if extension:
        image.save(tmp_path / f"a.{extension}", exif=image.getexif(), dpi=(300, 300))
        image = Image.open(tmp_path / f"a.{extension}")
    bright = model.enhance(image)
    assert np.array_equal(np.asarray(bright), model.enhance(np.asarray(ImageOps.exif_transpose(image))))
    assert bright.getexif().get(ORIENTATION, 1) == 1
    if extension:
        assert bright.info["dpi"] == pytest.approx((300, 300), abs=0.1)
        assert np.array_equal(np.asarray(bright), model.enhance(tmp_path / f"a.{extension}"))
    if extension != "tif":  # which Pillow itself turns
        assert image.getexif()[ORIENTATION] == orientation and image.size == (
            31,
            20,
        )


@pytest.mark.parametrize("mode", ["CMYK", "F", "I", "HSV"])
def test_other_pillow_modes_are_refused(model: Enhancer, mode: str) -> None:
    with pytest.raises(UserError, match=f"the image holds {mode} pixels: convert it to grey or RGB"):
        model.enhance(Image.new(mode, (8, 8)))


def test_damaged_pillow_images_are_refused(model: Enhancer, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(dark(64, 64, 3)).save(path)
    path.write_bytes(path.read_bytes()[:2000])
    with Image.open(path) as image, pytest.raises(UserError, match="the image cannot be decoded"):
        model.enhance(image)


# Files


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [(), (2,), (3,), (4,)])
def test_files_give_rgb_arrays(
    model: Enhancer, tmp_path: Path, channels: tuple[int, ...], dtype: type
) -> None:
    path, pixels = tmp_path / "a.png", dark(20, 31, *channels, dtype=dtype)
    write_photo(path, Photo(pixels))
    bright = model.enhance(path)
    assert bright.shape == (20, 31, 3) and bright.dtype == dtype and bright.flags["C_CONTIGUOUS"]
    assert np.array_equal(bright, model.enhance(str(path)))
    expected = model.enhance(pixels)
    if channels in ((), (2,)):
        assert np.array_equal(bright[..., 1], expected if channels == () else expected[..., 0])
    else:
        assert np.array_equal(bright, expected[..., :3])


def test_warnings_and_errors_name_the_file(model: Enhancer, tmp_path: Path) -> None:
    path = tmp_path / "day.png"
    with pytest.raises(UserError, match=r"day\.png: No such file"):
        model.enhance(path)
    write_photo(path, Photo(dark(20, 31, 3, top=1.0)))
    with pytest.warns(EnhanceWarning, match=r"day\.png is not dark"):
        model.enhance(str(path))


# Mistakes


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (np.zeros((3, 20, 30), np.uint8), r"uint8 \(3, 20, 30\) is not a picture: expected \(H, W\)"),
        (np.zeros((2, 20, 30, 3), np.uint8), "is not a picture"),
        (np.zeros((0, 30, 3), np.uint8), "no pixels"),
        (np.zeros((20, 30), np.int64), "expected uint8, uint16, or float"),
        (np.full((20, 30), 255.0), r"values from 255 to 255: scale or clip them to \[0, 1\]"),
        (np.full((20, 30), np.nan), "values from nan to nan"),
        (torch.zeros(20, 30, 3), r"\(20, 30, 3\) is not a picture: expected float \(3, H, W\)"),
        (torch.zeros(3, 20, 30, dtype=torch.uint8), "is not a picture"),
        ([[0.1]], "a list is not a picture: expected an array, a tensor, a PIL image or a path"),
    ],
)
def test_other_inputs_are_refused(model: Enhancer, picture: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        model.enhance(picture)  # type: ignore[call-overload]
