"""HEIC photographs and raw files, with the packages that read them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from reddit.image.read import read_photo
from reddit.inference.files import plan_outputs
from reddit.utils.errors import UserError

WHITE = 4095


def write_dng(path: Path, light: np.ndarray) -> None:
    """A raw file of a grey scene, (H, W) in [0, 1], linear, of a camera of 12 bits."""
    identity = tuple(number for k in range(9) for number in (int(k % 4 == 0), 1))
    tags = [
        (271, "s", 0, "Maker", True),
        (272, "s", 0, "Model", True),
        (33421, "H", 2, (2, 2), True),  # the pattern of colours: RG, GB
        (33422, "B", 4, bytes([0, 1, 1, 2]), True),
        (50706, "B", 4, bytes([1, 4, 0, 0]), True),
        (50708, "s", 0, "Maker Model", True),
        (50714, "H", 1, 0, True),
        (50717, "H", 1, WHITE, True),
        (50721, "2i", 9, identity, True),
        (50728, "2I", 3, (1, 1, 1, 1, 1, 1), True),
    ]
    sensor = np.rint(light * WHITE).astype(np.uint16)
    tifffile.imwrite(path, sensor, photometric=32803, extratags=tags)


def test_a_raw_file(tmp_path: Path) -> None:
    pytest.importorskip("rawpy")
    light = np.full((64, 96), 0.7)
    light[:, :48] = 0.15
    write_dng(tmp_path / "a.dng", light)
    pixels = read_photo(tmp_path / "a.dng").pixels
    assert pixels.shape == (64, 96, 3) and pixels.dtype == np.uint16
    for part, value in ((pixels[:, :40], 0.15), (pixels[:, 56:], 0.7)):
        expected = 1.099 * value**0.45 - 0.099  # BT.709; not brightened
        assert part.mean(axis=(0, 1)) / 65535 == pytest.approx([expected] * 3, abs=0.003)


def test_a_file_that_is_not_raw_says_so(tmp_path: Path) -> None:
    pytest.importorskip("rawpy")
    (tmp_path / "a.dng").write_bytes(b"II*" + bytes(100))
    with pytest.raises(
        UserError, match=r"a\.dng is damaged, or a raw file of an unknown camera \(Unsupported"
    ):
        read_photo(tmp_path / "a.dng")


def test_a_heic_photograph_is_turned_upright(tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:24] = (200, 60, 30)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise
    Image.fromarray(picture).save(tmp_path / "a.heic", quality=95, exif=exif.tobytes())
    photo = read_photo(tmp_path / "a.heic")
    assert photo.pixels.shape == (64, 48, 3) and photo.pixels.dtype == np.uint8
    assert photo.pixels[:, 30:].mean(axis=(0, 1)) == pytest.approx([200, 60, 30], abs=6)
    assert photo.pixels[:, :18].mean() < 6


def test_their_results_are_jpegs(tmp_path: Path) -> None:
    sources = [tmp_path / name for name in ("a.heic", "b.dng")]
    for source in sources:
        source.touch()
    plan = plan_outputs(sources, tmp_path / "out")
    assert [path.name for path in plan.outputs.values()] == ["a.jpg", "b.jpg"]
