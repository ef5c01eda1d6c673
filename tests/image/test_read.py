from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
import torch

from reddit.image.pixels import to_float
from reddit.image.read import list_images, read_image, read_photo, read_uint8
from reddit.image.write import encode, write_image
from reddit.utils.errors import UserError
from reddit.utils.files import write_bytes


def picture(height: int = 9, width: int = 13, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def photograph(side: int = 128) -> np.ndarray:
    """Detailed enough for a JPEG of several kilobytes."""
    noise = np.random.default_rng(0).normal(128, 40, (side, side, 3))
    return np.clip(noise, 0, 255).astype(np.uint8)


def store(path: Path, array: np.ndarray) -> Path:
    """Write with OpenCV, in its own channel order."""
    assert cv2.imwrite(str(path), array)
    return path


def one_line(error: pytest.ExceptionInfo[UserError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


# Reading and writing


@pytest.mark.parametrize("extension", [".png", ".bmp", ".tif", ".PNG"])
def test_write_and_read(tmp_path: Path, extension: str) -> None:
    path = tmp_path / "new" / f"a{extension}"
    write_image(path, to_float(picture()))
    assert np.array_equal(read_uint8(path), picture())
    assert torch.equal(read_image(path), to_float(picture()))
    assert list(path.parent.iterdir()) == [path]  # no temporary file is left


def test_jpeg_is_close(tmp_path: Path) -> None:
    flat = np.full((16, 16, 3), (200, 90, 30), np.uint8)
    write_image(tmp_path / "a.jpg", to_float(flat))
    assert np.abs(read_uint8(tmp_path / "a.jpg").astype(int) - flat).max() <= 3


def test_channels_are_red_green_blue(tmp_path: Path) -> None:
    bgr = np.zeros((2, 2, 3), np.uint8)
    bgr[..., 2] = 255
    found = read_uint8(store(tmp_path / "red.png", bgr))
    assert found[0, 0].tolist() == [255, 0, 0]


def test_sixteen_bits_are_rounded_to_eight(tmp_path: Path) -> None:
    values = np.array([[0, 128, 129, 257, 32896, 65535]], np.uint16)
    colour = np.stack([values, values[:, ::-1], values], axis=2)
    found = read_uint8(store(tmp_path / "deep.png", colour))
    assert found.dtype == np.uint8
    assert found[0, :, 0].tolist() == [0, 0, 1, 1, 128, 255]
    assert found[0, :, 1].tolist() == [255, 128, 1, 1, 0, 0]
    grey = read_uint8(store(tmp_path / "deep-grey.png", values))
    assert grey.shape == (1, 6, 3)
    assert grey[0, :, 2].tolist() == [0, 0, 1, 1, 128, 255]


def test_grey_becomes_three_equal_channels(tmp_path: Path) -> None:
    grey = picture()[..., 0]
    found = read_uint8(store(tmp_path / "grey.png", grey))
    assert np.array_equal(found, np.stack([grey] * 3, axis=2))


def test_alpha_is_dropped(tmp_path: Path) -> None:
    transparent = np.concatenate([picture()[..., ::-1], picture(seed=1)[..., :1]], axis=2)
    assert np.array_equal(read_uint8(store(tmp_path / "alpha.png", transparent)), picture())


def test_npy_holds_blue_first(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", picture()[..., ::-1])
    assert np.array_equal(read_uint8(tmp_path / "a.npy"), picture())


# Mistakes


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        read_uint8(tmp_path / "none.png")
    assert str(tmp_path / "none.png") in one_line(error)


def test_empty(tmp_path: Path) -> None:
    path = tmp_path / "empty.png"
    path.touch()
    with pytest.raises(UserError) as error:
        read_image(path)
    assert str(path) in one_line(error)
    assert "0 bytes" in one_line(error)


@pytest.mark.parametrize("extension", [".png", ".jpg"])
@pytest.mark.parametrize("share", [0.1, 0.6, 0.99])
def test_truncated(tmp_path: Path, extension: str, share: float) -> None:
    whole = encode(photograph(), extension)
    path = tmp_path / f"cut{extension}"
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(UserError) as error:
        read_uint8(path)
    assert f"{path} is damaged" in one_line(error)


def test_text_called_a_picture(tmp_path: Path) -> None:
    path = tmp_path / "notes.png"
    path.write_text("not a picture\n" * 20)
    with pytest.raises(UserError) as error:
        read_uint8(path)
    assert str(path) in one_line(error)


def test_floating_point_picture(tmp_path: Path) -> None:
    path = tmp_path / "float.tiff"
    tifffile.imwrite(path, np.zeros((4, 4, 3), np.float32), photometric="rgb")
    with pytest.raises(UserError) as error:
        read_uint8(path)
    assert "float32" in one_line(error)


@pytest.mark.parametrize("array", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)])
def test_npy_of_another_kind(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(UserError) as error:
        read_uint8(tmp_path / "a.npy")
    assert "a.npy" in one_line(error)


def test_npy_that_is_text(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_text("hello")
    with pytest.raises(UserError) as error:
        read_uint8(tmp_path / "a.npy")
    assert "a.npy" in one_line(error)


@pytest.mark.parametrize("below", ["a.png", "deeper/a.png"])
def test_an_impossible_folder(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError) as error:
        write_image(tmp_path / "file" / below, to_float(picture()))
    assert str(tmp_path / "file" / below) in one_line(error)
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_full_disk_leaves_the_former_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    write_bytes(path, b"former")

    def fail(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(UserError) as error:
        write_bytes(path, b"later")
    assert "space" in one_line(error)
    assert path.read_bytes() == b"former"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("name", "said"), [("a.xyz", ".xyz"), ("a", "without extension")])
def test_unknown_format(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(UserError) as error:
        write_image(tmp_path / name, to_float(picture()))
    assert said in one_line(error)


# Listing


def test_list_images(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpg", ".hidden.png", "notes.txt", "10.tif"):
        (tmp_path / name).touch()
    (tmp_path / "folder").mkdir()
    assert [p.name for p in list_images(tmp_path)] == ["10.tif", "a.jpg", "b.PNG"]
    assert [p.name for p in list_images(tmp_path, [".txt"])] == ["notes.txt"]


def test_list_no_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        list_images(tmp_path / "none")
    assert str(tmp_path / "none") in one_line(error)


def test_the_content_decides_and_not_the_extension(tmp_path: Path) -> None:
    picture = np.full((16, 16, 3), (200, 90, 40), np.uint8)
    (tmp_path / "photo.png").write_bytes(encode(picture, ".jpg", quality=100))
    assert np.abs(read_uint8(tmp_path / "photo.png").astype(int) - picture).max() <= 3


def test_one_rule_for_arrays(tmp_path: Path) -> None:
    """A picture that is called an array is neither, for all readers."""
    (tmp_path / "a.npy").write_bytes(encode(np.zeros((4, 5, 3), np.uint8)))
    with pytest.raises(UserError, match=r"not a readable \.npy array"):
        read_uint8(tmp_path / "a.npy")
    with pytest.raises(UserError, match="is an array of NumPy, not a photograph"):
        read_photo(tmp_path / "a.npy")


def test_a_folder_that_may_not_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(folder: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refused)
    with pytest.raises(UserError, match=r"cannot list .*: Permission denied"):
        list_images(tmp_path)
