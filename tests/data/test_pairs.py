from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from reddit.config import DataConfig
from reddit.data import (
    Pair,
    PictureCache,
    TrainingCrops,
    examine,
    fingerprint,
    load_pairs,
    load_picture,
    split_validation,
    training_loader,
    usable,
)
from reddit.data.crops import EndlessOrder
from reddit.data.demo import LONGEST_SIDE, PICTURES, demo_pairs
from reddit.image.pixels import to_float
from reddit.image.write import write_image
from reddit.utils.errors import UserError


def picture(seed: int, height: int = 20, width: int = 24) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def darker(high: np.ndarray) -> np.ndarray:
    """A fixed function of each pixel, so that aligned crops can be told from others."""
    return (high // 2 + 3).astype(np.uint8)


def pairs(count: int = 5) -> list[Pair]:
    return [Pair(f"{i}", darker(picture(i)), picture(i)) for i in range(count)]


def crops(
    of: list[Pair] | None = None,
    *,
    crop: int = 8,
    seed: int = 0,
    denoise: object = None,
    vertical_flip: bool = False,
    horizontal_flip: bool = True,
) -> TrainingCrops:
    config = DataConfig(crop=crop, vertical_flip=vertical_flip, horizontal_flip=horizontal_flip)
    return TrainingCrops(pairs() if of is None else of, config, seed, denoise)  # type: ignore[arg-type]


# The split


def grouped_pairs() -> list[Pair]:
    """Twelve scenes of one to six exposures, names in another order than scenes."""
    return [
        Pair(f"{exposure}-{scene}", picture(100 * scene + exposure + 1), picture(scene))
        for scene in range(12)
        for exposure in range(1 + scene % 6)
    ]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.99])
def test_split_never_parts_a_group(share: float, seed: int) -> None:
    everything = grouped_pairs()
    train, validation = split_validation(everything, share, seed)
    scenes = [{fingerprint(load_picture(p.high)) for p in part} for part in (train, validation)]
    assert not scenes[0] & scenes[1]
    assert len(scenes[0] | scenes[1]) == 12
    assert sorted(p.name for p in train + validation) == sorted(p.name for p in everything)
    assert train
    assert validation
    if share <= 0.5:
        assert share * len(everything) <= len(validation) < share * len(everything) + 6


@pytest.mark.parametrize("seed", range(5))
def test_split_never_parts_a_scene(seed: int) -> None:
    # Frames of a video: every high picture another.
    frames = [Pair(f"{i}", picture(2 * i), picture(2 * i + 1), scene=f"scene{i % 4}") for i in range(16)]
    train, validation = split_validation(frames, 0.3, seed)
    assert len(validation) == 8
    assert not {p.scene for p in train} & {p.scene for p in validation}


def test_the_split_depends_on_the_seed() -> None:
    def names(seed: int, order: int) -> list[str]:
        return [p.name for p in split_validation(grouped_pairs()[::order], 0.3, seed)[1]]

    assert names(1, 1) == names(1, 1)
    assert names(1, 1) == names(1, -1)  # whatever order the pairs come in
    assert len({tuple(names(seed, 1)) for seed in range(6)}) > 1


def test_no_split() -> None:
    everything = pairs()
    assert split_validation(everything, 0, 0) == (everything, [])


def test_one_group_cannot_be_split() -> None:
    same = [Pair(str(i), picture(i), picture(99)) for i in range(3)]
    with pytest.raises(UserError, match=r"data\.validation=0"):
        split_validation(same, 0.1, 0)


# The order


def test_each_epoch_is_a_permutation() -> None:
    order = [index for _, index in itertools.islice(EndlessOrder(7, seed=3), 21)]
    epochs = [order[i : i + 7] for i in (0, 7, 14)]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert epochs[0] != epochs[1] or epochs[1] != epochs[2]


@pytest.mark.parametrize("start", [0, 1, 6, 7, 8, 20])
def test_the_order_is_resumed(start: int) -> None:
    whole = list(itertools.islice(EndlessOrder(7, seed=3), 40))
    resumed = list(itertools.islice(EndlessOrder(7, seed=3, done=start), 40 - start))
    assert resumed == whole[start:]
    assert [position for position, _ in whole] == list(range(40))


@pytest.mark.parametrize("shares", [[range(3), range(3, 6)], [range(2), range(2, 4), range(4, 6)]])
def test_processes_divide_the_order(shares: list[range]) -> None:
    whole = list(itertools.islice(EndlessOrder(7, seed=3, batch_size=6, done=2), 30))
    orders = [iter(EndlessOrder(7, 3, 6, batch_indices, done=2)) for batch_indices in shares]
    together = []
    for _ in range(5):
        for batch_indices, order in zip(shares, orders, strict=True):
            together += itertools.islice(order, len(batch_indices))
    assert together == whole


def test_micro_batches_make_the_batch() -> None:
    whole = next(iter(training_loader(crops(), 4, seed=1, done=3)))
    parts = list(itertools.islice(training_loader(crops(), 4, seed=1, done=3, grad_accum_steps=2), 2))
    for name in ("low", "high", "denoised", "context"):
        assert torch.equal(whole[name], torch.cat([part[name] for part in parts]))


@pytest.mark.parametrize("done", [1, 2, 5])
def test_the_loader_is_resumed(done: int) -> None:
    data = crops()
    whole = list(itertools.islice(training_loader(data, 3, seed=1), 8))
    resumed = list(itertools.islice(training_loader(crops(), 3, seed=1, done=done), 8 - done))
    for a, b in zip(whole[done:], resumed, strict=True):
        assert all(torch.equal(a[name], b[name]) for name in ("low", "high", "denoised"))
    assert whole[0]["low"].shape == (3, 3, 8, 8)


# Crops


def test_low_and_high_are_cropped_alike() -> None:
    data = crops(vertical_flip=True)
    for position in range(40):
        item = data[position, position % 5]
        high = (item["high"] * 255).round().byte().permute(1, 2, 0).numpy()
        assert torch.equal(item["low"], to_float(darker(high)))


def test_crops_and_flips_come_from_the_picture() -> None:
    high = picture(0, 10, 11)
    data = crops([Pair("one", darker(high), high)], vertical_flip=True)
    windows = {}
    for top, left in itertools.product(range(3), range(4)):
        window = high[top : top + 8, left : left + 8]
        for flip_h, flip_v in itertools.product((1, -1), (1, -1)):
            windows[window[::flip_v, ::flip_h].tobytes()] = top, left, flip_h, flip_v
    found = []
    for position in range(400):
        crop = (data[position, 0]["high"] * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
        found.append(windows[crop.tobytes()])
    assert set(found) == set(windows.values())  # every place and every flip, edges included


def test_flips_can_be_switched_off() -> None:
    high = picture(0, 8, 8)
    data = crops([Pair("one", darker(high), high)], horizontal_flip=False)
    assert all(torch.equal(data[position, 0]["high"], to_float(high)) for position in range(10))


def test_a_position_is_always_the_same_crop() -> None:
    first, second, other = crops(), crops(), crops(seed=1)
    first[0, 0]  # what was drawn before does not matter
    assert torch.equal(first[7, 2]["low"], second[7, 2]["low"])
    assert any(not torch.equal(first[i, 2]["low"], first[7, 2]["low"]) for i in range(5))
    assert any(not torch.equal(first[i, 2]["low"], other[i, 2]["low"]) for i in range(5))


def test_gain_changes_all_of_the_low_and_nothing_of_the_high() -> None:
    config = DataConfig(crop=8, gain=1.0)
    plain, gained = crops(), TrainingCrops(pairs(), config, 0)
    gains = []
    for position in range(60):
        a, b = plain[position, 0], gained[position, 0]
        assert torch.equal(a["high"], b["high"])
        gain = (b["low"][a["low"] > 0] / a["low"][a["low"] > 0]).min().item()
        assert torch.allclose(b["low"], (gain * a["low"]).clamp(max=1), atol=1e-6)
        assert torch.allclose(b["context"], (gain * a["context"]).clamp(max=1), atol=1e-5)
        gains.append(gain)
    assert 0.5 <= min(gains) < 0.6 < 1.7 < max(gains) <= 2
    assert np.mean(np.log2(gains)) == pytest.approx(0, abs=0.3)


def test_context_windows_are_parts_of_the_thumbnail() -> None:
    # A picture that is its own ramp: the mean of a window says how big it is at the least.
    ramp = np.repeat(np.arange(64, dtype=np.uint8)[None, :, None], 64, axis=0).repeat(3, axis=2)
    config = DataConfig(crop=8, context_window=0.5, horizontal_flip=False)
    data = TrainingCrops([Pair("ramp", ramp, ramp)], config, 0)
    spans = []
    for position in range(80):
        row = 255 * data[position, 0]["context"][0, 0]
        assert row.shape == (64,)
        assert (row.diff() >= -1e-4).all()
        spans.append((row[-1] - row[0]).item())
    assert 31 - 1e-3 <= min(spans) < 36
    assert 58 < max(spans) <= 63 + 1e-3
    whole = TrainingCrops([Pair("ramp", ramp, ramp)], DataConfig(crop=8, horizontal_flip=False), 0)
    assert torch.allclose(255 * whole[0, 0]["context"][0, 0], torch.arange(64.0), atol=1e-4)


def test_denoised_is_cropped_with_the_rest() -> None:
    data = crops(denoise=lambda low: 255 - low, vertical_flip=True)
    item = data[4, 1]
    assert torch.allclose(item["denoised"], 1 - item["low"], atol=1e-6)
    without = crops()[4, 1]
    assert torch.equal(without["denoised"], without["low"])


def test_pictures_in_files_give_the_same_crops(tmp_path: Path) -> None:
    stored = []
    for pair in pairs(2):
        for half in ("low", "high"):
            write_image(tmp_path / half / f"{pair.name}.png", to_float(getattr(pair, half)))
        low, high = (tmp_path / half / f"{pair.name}.png" for half in ("low", "high"))
        stored.append(Pair(pair.name, low, high))
    lazy = TrainingCrops(stored, DataConfig(crop=8, memory_gb=0), 0)
    assert torch.equal(lazy[3, 1]["low"], crops(pairs(2))[3, 1]["low"])
    assert lazy.fingerprints() == crops(pairs(2)).fingerprints()


def test_fingerprints_are_of_pixels_and_shape() -> None:
    data = pairs(2)
    expected = {fingerprint(p) for pair in data for p in (pair.low, pair.high)}
    assert len(expected) == 4
    assert crops(data).fingerprints() == expected
    assert len(fingerprint(picture(0))) == 16
    assert fingerprint(picture(0)) == fingerprint(np.asfortranarray(picture(0)))
    assert fingerprint(np.zeros((2, 3, 3), np.uint8)) != fingerprint(np.zeros((3, 2, 3), np.uint8))


def test_halves_of_two_sizes() -> None:
    odd = [*pairs(1), Pair("odd", picture(0), picture(0, 20, 23))]
    with pytest.raises(UserError, match=r"pair odd: low is 24×20 and high 23×20.*on_corrupt=skip") as error:
        usable(odd, examine(odd, PictureCache()), "error")
    assert "\n" not in str(error.value)


def test_reading_stops_at_a_problem_by_default() -> None:
    odd = [Pair(f"odd-{i}", picture(0), picture(0, 20, 23)) for i in range(3)]
    assert list(examine(odd, PictureCache())) == ["odd-0", "odd-1", "odd-2"]
    assert list(examine(odd, PictureCache(), first_only=True)) == ["odd-0"]


def test_a_failure_is_assigned_to_its_own_pair() -> None:
    def full(pair: Pair, low: np.ndarray) -> None:
        raise UserError("the disk is full")

    with pytest.raises(UserError, match="the disk is full"):
        examine(pairs(1), PictureCache(), also=full)


def test_pairs_of_one_name_in_two_sets_share_nothing(tmp_path: Path) -> None:
    cache = PictureCache(1e6)
    items = []
    for number in range(2):
        path = tmp_path / str(number) / "1.png"
        write_image(path, to_float(picture(number)))
        crop = TrainingCrops([Pair("1", path, path)], DataConfig(crop=8), 0, lambda low: 255 - low, cache)
        items.append(crop[0, 0])
    for name in ("denoised", "context"):
        assert not torch.equal(items[0][name], items[1][name])


@pytest.mark.parametrize("size", [(7, 30), (30, 7)])
def test_a_crop_larger_than_the_picture(size: tuple[int, int]) -> None:
    small = picture(0, *size)
    with pytest.raises(UserError, match=r"pair small: .* crop of 8; lower data\.crop"):
        crops([Pair("small", small, small)]).prepare()
    fits = picture(0, 8, 8)
    assert crops([Pair("fits", fits, fits)])[0, 0]["low"].shape == (3, 8, 8)


# The demo set


@pytest.fixture(scope="module")
def demo() -> dict[str, list[Pair]]:
    return {"train": demo_pairs("train"), "test": demo_pairs("test")}


def test_demo_is_deterministic(demo: dict[str, list[Pair]]) -> None:
    again = demo_pairs("test")
    assert [p.name for p in again] == [p.name for p in demo["test"]]
    for a, b in zip(again, demo["test"], strict=True):
        assert np.array_equal(a.low, b.low)
        assert np.array_equal(a.high, b.high)


def test_demo_splits_share_no_picture(demo: dict[str, list[Pair]]) -> None:
    gts = {split: {fingerprint(load_picture(p.high)) for p in found} for split, found in demo.items()}
    assert {split: len(found) for split, found in gts.items()} == {s: len(p) for s, p in PICTURES.items()}
    assert not gts["train"] & gts["test"]
    names = [p.name for found in demo.values() for p in found]
    assert len(set(names)) == len(names)


def test_demo_lows_are_dark(demo: dict[str, list[Pair]]) -> None:
    for pair in demo["train"] + demo["test"]:
        assert pair.low.shape == pair.high.shape
        assert max(pair.low.shape) <= LONGEST_SIDE
        assert pair.low.dtype == pair.high.dtype == np.uint8
        assert pair.low.mean() < 0.6 * pair.high.mean() + 2


def test_demo_by_name(demo: dict[str, list[Pair]]) -> None:
    found = load_pairs(DataConfig(dataset="demo"), Path("nowhere"), "test")
    assert [p.name for p in found] == [p.name for p in demo["test"]]


def test_unknown_data_set() -> None:
    with pytest.raises(UserError, match=r"'lolv9' is not a known data set; known: .*lolv1.*demo, pairs"):
        load_pairs(DataConfig(dataset="lolv9"), Path("nowhere"), "train")


def test_own_folders_must_be_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data\.test_low and data\.test_high"):
        load_pairs(DataConfig(dataset="pairs", train_low="a", train_high="b"), tmp_path, "test")
    for half in ("low", "high"):
        write_image(tmp_path / half / "a.png", to_float(picture(0)))
    config = DataConfig(dataset="pairs", test_low=str(tmp_path / "low"), test_high=str(tmp_path / "high"))
    assert [p.name for p in load_pairs(config, tmp_path, "test")] == ["a"]
