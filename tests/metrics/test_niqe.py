from __future__ import annotations

import importlib
import math
import pickle

import numpy as np
import pytest
import torch
from skimage import data

from reddit.image.pixels import to_float
from reddit.metrics import niqe
from reddit.utils.errors import UserError

# The package exports a function of the module's own name.
MODULE = importlib.import_module("reddit.metrics.niqe")

# BasicSR 1.4.2, basicsr.metrics.niqe.calculate_niqe(bgr, crop_border=0), on the pictures of scikit-image.
# It works in float32, and a saturated sky or a black ground makes its fourth decimal rounding noise.
BASICSR = {"coffee": (4.115242, 1e-4), "chelsea": (2.625524, 1e-4), "rocket": (6.969155, 5e-4)}
BASICSR["astronaut"] = (3.064948, 1e-3)

# utils/niqe.py of the ReDDiT authors' repository (commit ba04649), niqe(bgr), under NumPy 2.4 and OpenCV 5.0.
AUTHORS = {"coffee": 2.940090, "chelsea": 3.698604, "rocket": 3.676717, "astronaut": 3.851323}


def picture(name: str) -> torch.Tensor:
    return to_float(getattr(data, name)())[None]


@pytest.mark.parametrize("name", BASICSR)
def test_agrees_with_basicsr(name) -> None:
    expected, tolerance = BASICSR[name]
    assert niqe(picture(name)).item() == pytest.approx(expected, abs=tolerance)


@pytest.mark.parametrize("name", AUTHORS)
def test_paper_variant_agrees_with_the_authors_code(name) -> None:
    assert niqe(picture(name), "paper").item() == pytest.approx(AUTHORS[name], abs=1e-3)


def test_grey_is_that_of_matlab() -> None:
    """rgb2gray of pure red, green and blue is 76, 150 and 29; the Y of YCbCr begins at 16."""
    colours = torch.eye(3)[..., None]  # a row of each, (3, 3, 1)
    grey, definitions = MODULE._grey, MODULE._DEFINITIONS
    assert grey(colours, definitions["grey"]).flatten().tolist() == [76, 150, 29]
    black = torch.zeros(3, 2, 2)
    assert grey(black, definitions["grey"]).unique().tolist() == [0]
    assert grey(black, definitions["basicsr"]).unique().tolist() == [16]


@pytest.mark.parametrize("variant", ["basicsr", "grey", "paper"])
def test_one_score_for_each_picture(variant) -> None:
    first = picture("coffee")
    second = (first + 0.1 * torch.randn(first.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    scores = niqe(torch.cat([first, second]), variant)
    assert scores.dtype == torch.float64
    assert scores.shape == (2,)
    assert scores[0] == niqe(first, variant)[0]
    assert scores[1] > scores[0]  # noise is unnatural


def test_the_rest_beyond_whole_blocks_is_cropped() -> None:
    image = picture("chelsea")
    assert niqe(image).item() == niqe(image[..., :288, :384]).item()


def test_strips_do_not_change_the_score(monkeypatch) -> None:
    image = picture("coffee")
    whole = niqe(image).item()
    monkeypatch.setattr(MODULE, "_STRIP_PIXELS", 1)
    assert niqe(image).item() == whole


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_flat_pictures_are_not_nan(level) -> None:
    flat = torch.full((1, 3, 192, 192), level)
    assert niqe(flat).item() == math.inf
    assert not math.isnan(niqe(flat, "paper").item())


def test_partly_black_picture_is_finite() -> None:
    image = picture("coffee")
    image[..., :250] = 0
    assert math.isfinite(niqe(image).item())
    assert math.isfinite(niqe(image, "paper").item())


def test_too_small() -> None:
    with pytest.raises(UserError, match=r"191x150 is too small for NIQE.*96x96"):
        niqe(torch.rand(1, 3, 150, 191))


def test_unknown_variant() -> None:
    with pytest.raises(UserError, match=r"choose from basicsr, grey, paper"):
        niqe(torch.rand(1, 3, 200, 200), "skimage")


def test_own_parameters(tmp_path) -> None:
    path = tmp_path / "own.npz"
    np.savez(path, mu_pris_param=np.zeros(36), cov_pris_param=np.eye(36))
    image = picture("chelsea")
    assert niqe(image, parameters=path).item() != niqe(image).item()


def test_bad_parameters(tmp_path) -> None:
    image = torch.rand(1, 3, 200, 200)
    wrong_key, not_an_archive = tmp_path / "key.npz", tmp_path / "text.npz"
    np.savez(wrong_key, mean=np.zeros(36))
    not_an_archive.write_bytes(pickle.dumps([1]))
    for path in (wrong_key, not_an_archive, tmp_path / "absent.npz"):
        with pytest.raises(UserError, match=rf"{path.name}.*mu_pris_param"):
            niqe(image, parameters=path)
