"""Crops of good photographs beside their dark twins, and mixtures of data sets."""

from __future__ import annotations

import errno
import os
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from reddit.config import DataConfig
from reddit.data.crops import TrainingCrops
from reddit.data.loader import training_loader
from reddit.data.mix import CYCLE, MixedCrops, MixedOrder, shares
from reddit.data.night import Night
from reddit.data.pairing import Pair
from reddit.data.photos import PhotoCrops, find_photos, photo_pairs, photo_twin
from reddit.image.pixels import to_float
from reddit.image.write import write_image
from reddit.utils.errors import UserError

CONFIG = DataConfig(crop=32, workers=0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name in ("b.png", "a.png", "inside/c.png"):
        picture = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
        write_image(tmp_path / name, to_float(picture))
    return tmp_path


def test_photos_are_found_in_subfolders_in_order(folder: Path) -> None:
    assert [path.name for path in find_photos(folder)] == ["a.png", "b.png", "c.png"]


@pytest.mark.parametrize("name", ["missing", "."])
def test_a_folder_without_photos_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=r"data\.photos"):
        find_photos(tmp_path / name)


def test_a_subfolder_that_may_not_be_listed_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = os.scandir

    def scandir(path: object) -> object:
        if Path(str(path)).name == "inside":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return listed(path)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(UserError, match=r"cannot list \S+/inside: Permission denied; change its permissions"):
        find_photos(folder)


def test_crops_are_the_same_for_a_seed_and_position(folder: Path) -> None:
    photos = find_photos(folder)
    first, again = (PhotoCrops(photos, CONFIG, seed=1)[(5, 2)] for _ in range(2))
    other = PhotoCrops(photos, CONFIG, seed=1)[(6, 2)]
    assert not isinstance(first, UserError) and not isinstance(again, UserError)
    assert not isinstance(other, UserError)
    assert all(torch.equal(first[key], again[key]) for key in ("low", "high", "denoised", "context"))
    assert not torch.equal(first["low"], other["low"])
    assert first["low"].shape == first["high"].shape == (3, 32, 32)
    assert first["context"].shape == (3, 64, 64)


def test_the_darkened_crop_is_aligned_with_the_photograph() -> None:
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (80, 100, 3), dtype=np.uint8)
    night = Night((1.0, 1.0, 1.0), (), full_well=1e12, read_noise=0.0)
    twin = photo_twin(picture, night, (slice(30, 62), slice(21, 53)), rng)
    assert np.array_equal(twin.low, twin.high)
    assert np.array_equal(twin.high, picture[30:62, 21:53])


def test_a_photograph_smaller_than_a_crop_is_named(folder: Path) -> None:
    crops = PhotoCrops(find_photos(folder), DataConfig(crop=64), seed=0)
    found = crops[(0, 0)]
    assert isinstance(found, UserError)
    assert "a.png" in str(found) and "64" in str(found)


def test_drawn_nights_need_no_files_and_stay_dark() -> None:
    crops = PhotoCrops(None, CONFIG, seed=0)
    items = [crops[(position, 0)] for position in range(12)]
    assert all(not isinstance(item, UserError) and float(item["high"].median()) < 0.2 for item in items)


def test_validation_pairs_are_the_same_each_time(folder: Path) -> None:
    first, again = (photo_pairs(find_photos(folder), 2, seed=0) for _ in range(2))
    assert [pair.name for pair in first] == ["a", "b"]
    for a, b in zip(first, again, strict=True):
        assert np.array_equal(a.low, b.low) and np.array_equal(a.high, b.high)


def test_shares_are_whole_and_sum_to_the_total() -> None:
    assert shares([0.4, 0.2, 0.12, 0.24, 0.04], 100) == [40, 20, 12, 24, 4]
    assert shares([1, 1, 1], 100) == [34, 33, 33]
    assert sum(shares([0.7, 3.1, 0.01], 100)) == 100


def test_a_mixture_gives_each_set_its_share_and_each_item_its_turn() -> None:
    order = MixedOrder([3, 50], [3, 1], seed=0)
    keys = list(islice(order, 4 * CYCLE))
    drawn = [index for _, (number, index) in keys if number == 0]
    assert len(drawn) == 300
    assert all(sorted(drawn[k : k + 3]) == [0, 1, 2] for k in range(0, 300, 3))
    other = [index for _, (number, index) in keys if number == 1]
    assert sorted(other[:50]) == sorted(other[50:]) == list(range(50))


@pytest.mark.parametrize("done", [1, 7, 120])
def test_a_mixture_is_resumed(done: int) -> None:
    whole = list(islice(MixedOrder([5, 7], [1, 2], seed=3, batch_size=4), 4 * (done + 30)))
    resumed = list(islice(MixedOrder([5, 7], [1, 2], seed=3, batch_size=4, done=done), 4 * 30))
    assert resumed == whole[4 * done :]


def test_processes_share_a_mixture(folder: Path) -> None:
    whole = list(islice(MixedOrder([5, 7], [1, 2], seed=3, batch_size=4), 40))
    halves = [
        list(islice(MixedOrder([5, 7], [1, 2], seed=3, batch_size=4, batch_indices=part), 20))
        for part in (range(2), range(2, 4))
    ]
    assert sorted(halves[0] + halves[1]) == sorted(whole)


def test_a_loader_serves_pairs_photographs_and_nights(folder: Path) -> None:
    picture = np.full((40, 40, 3), 9, np.uint8)
    pairs = TrainingCrops([Pair("p", picture, picture)], CONFIG, 0)
    sets = [pairs, PhotoCrops(find_photos(folder), CONFIG, 0), PhotoCrops(None, CONFIG, 0)]
    batches = iter(training_loader(MixedCrops(sets, [1, 1, 1]), 4, seed=0))
    for batch in islice(batches, 3):
        assert not isinstance(batch, UserError)
        assert batch["low"].shape == (4, 3, 32, 32)
