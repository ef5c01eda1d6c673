"""Every benchmark's tree, in its original and its renamed spelling, made up of tiny pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reddit.config import DataConfig
from reddit.data import (
    LAYOUTS,
    TrainingCrops,
    find_pairs,
    find_pictures,
    load_pairs,
    load_picture,
    load_test_set,
    pair_folders,
    split_validation,
)
from reddit.data.layouts import get_layout, locate
from reddit.image.write import encode
from reddit.utils.errors import UserError

INDOOR_TEST = ("pair1", "pair4", "pair9", "pair11", "pair19", "pair21")
OUTDOOR_TEST = (
    *("MVI_0898", "MVI_0906", "MVI_0928", "MVI_0975", "MVI_0997"),
    *("MVI_1001", "MVI_1003", "MVI_1026", "MVI_1030", "MVI_1032"),
)


def put(path: Path, value: int = 0, size: tuple[int, int] = (8, 12)) -> Path:
    """One grey level a picture; `.npy` is written as SID and SDSD are, uint8 BGR."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = np.full((*size, 3), value, np.uint8)
    if path.suffix == ".npy":
        np.save(path, picture)
    else:
        path.write_bytes(encode(picture, path.suffix))
    return path


PAIRED_TREES = [
    ("lolv1", "train", "LOLv1/our485/low/2.png", "LOLv1/our485/high/2.png", "2"),
    ("lolv1", "test", "LOLv1/eval15/low/111.png", "LOLv1/eval15/high/111.png", "111"),
    ("lolv1", "train", "LOLv1/Train/input/2.png", "LOLv1/Train/target/2.png", "2"),
    ("lolv1", "test", "LOL-v1/test/Input/111.png", "LOL-v1/test/Target/111.png", "111"),
    ("lolv1", "train", "LOLdataset/our485/low/2.png", "LOLdataset/our485/high/2.png", "2"),
    (
        "lolv2_real",
        "train",
        "LOLv2/Real_captured/Train/Low/low00001.png",
        "LOLv2/Real_captured/Train/Normal/normal00001.png",
        "00001",
    ),
    (
        "lolv2_real",
        "test",
        "LOLv2/Real_captured/Test/Low/00690.png",
        "LOLv2/Real_captured/Test/Normal/00690.png",
        "00690",
    ),
    (
        "lolv2_real",
        "test",
        "LOL-v2/real_captured/test/low/low00690.PNG",
        "LOL-v2/real_captured/test/high/normal00690.jpg",
        "00690",
    ),
    (
        "lolv2_synthetic",
        "train",
        "LOLv2/Synthetic/Train/Low/r000da54ft.png",
        "LOLv2/Synthetic/Train/Normal/r000da54ft.png",
        "r000da54ft",
    ),
    (
        "lolv2_synthetic",
        "test",
        "lol_v2/synthetic/test/low/r00816405t.png",
        "lol_v2/synthetic/test/normal/r00816405t.png",
        "r00816405t",
    ),
    (
        "sid",
        "train",
        "SID/short_sid2/00001/00001_00_0.04s.npy",
        "SID/long_sid2/00001/00001_00_10s.npy",
        "00001/00001_00_0.04s",
    ),
    (
        "sid",
        "test",
        "sid/short_sid2/10003/10003_00_0.1s.npy",
        "sid/long_sid2/10003/10003_00_10s.npy",
        "10003/10003_00_0.1s",
    ),
    (
        "sdsd_indoor",
        "test",
        "SDSD/indoor_static_np/input/pair1/0001.npy",
        "SDSD/indoor_static_np/GT/pair1/0001.npy",
        "pair1/0001",
    ),
    (
        "sdsd_outdoor",
        "train",
        "sdsd/Outdoor_static_np/input/MVI_0918/0001.npy",
        "sdsd/Outdoor_static_np/gt/MVI_0918/0001.npy",
        "MVI_0918/0001",
    ),
]


@pytest.mark.parametrize(("name", "split", "low", "high", "key"), PAIRED_TREES)
def test_paired_trees(tmp_path: Path, name: str, split: str, low: str, high: str, key: str) -> None:
    put(tmp_path / low), put(tmp_path / high)
    (pair,) = find_pairs(name, tmp_path, split)
    assert (pair.name, pair.low, pair.high) == (key, tmp_path / low, tmp_path / high)


@pytest.mark.parametrize("name", ["dicm", "lime", "mef", "npe", "vv"])
@pytest.mark.parametrize("spell", [str.upper, str.lower])
def test_sets_without_gt(tmp_path: Path, name: str, spell) -> None:
    folder = tmp_path / spell(name)
    for file in ("b.jpg", "a.bmp", "c.PNG", "c.jpg", "._a.bmp", "readme.txt"):
        put(folder / file.replace(".txt", ".png")).rename(folder / file)
    assert [tuple(picture[:3]) for picture in load_test_set(name, tmp_path)] == [
        ("a", folder / "a.bmp", None),
        ("b", folder / "b.jpg", None),
        ("c.PNG", folder / "c.PNG", None),
        ("c.jpg", folder / "c.jpg", None),
    ]


def test_sets_without_gt_may_have_their_own_folder(tmp_path: Path) -> None:
    put(tmp_path / "unpaired" / "DICM" / "01.jpg")
    assert [picture.name for picture in find_pictures("dicm", tmp_path)] == ["01"]


def test_every_benchmark_of_the_paper_has_a_layout() -> None:
    assert list(LAYOUTS) == [
        *("lolv1", "lolv2_real", "lolv2_synthetic", "sid", "sdsd_indoor", "sdsd_outdoor"),
        *("dicm", "lime", "mef", "npe", "vv"),
    ]


@pytest.mark.parametrize(("name", "split"), [(n, split) for n in LAYOUTS for split in LAYOUTS[n].parents])
def test_the_tree_of_the_message_is_a_tree_that_is_found(tmp_path: Path, name: str, split: str) -> None:
    layout = LAYOUTS[name]
    with pytest.raises(UserError) as error:
        load_test_set(name, tmp_path) if not layout.sides else find_pairs(name, tmp_path, split)
    message = str(error.value)
    assert "\n" not in message and "https://" in message and "REDDIT_DATA" in message
    for folder in layout.folders(split):
        assert str(tmp_path / folder) in message
        (tmp_path / folder).mkdir(parents=True)
    assert locate(layout, tmp_path, split) == tuple(tmp_path / folder for folder in layout.folders(split))


def test_the_original_spelling_wins(tmp_path: Path) -> None:
    for top in ("LOL-v1", "LOLv1"):
        put(tmp_path / top / "eval15/low/1.png"), put(tmp_path / top / "eval15/high/1.png")
    assert find_pairs("lolv1", tmp_path, "test")[0].low == tmp_path / "LOLv1/eval15/low/1.png"


def test_an_incomplete_tree_does_not_hide_a_complete_one(tmp_path: Path) -> None:
    put(tmp_path / "LOLv1/our485/low/1.png")
    put(tmp_path / "LOLv1/Train/input/1.png"), put(tmp_path / "LOLv1/Train/target/1.png")
    assert find_pairs("lolv1", tmp_path, "train")[0].low == tmp_path / "LOLv1/Train/input/1.png"


def test_pairs_are_matched_by_name_whatever_the_prefix_and_extension(tmp_path: Path) -> None:
    for low, high in (("low2.png", "normal2.jpg"), ("low10.png", "normal10.png"), ("1.png", "1.bmp")):
        put(tmp_path / "low" / low), put(tmp_path / "high" / high)
    found = pair_folders(tmp_path / "low", tmp_path / "high")
    assert [(pair.low.name, pair.high.name) for pair in found] == [
        ("1.png", "1.bmp"),
        ("low10.png", "normal10.png"),
        ("low2.png", "normal2.jpg"),
    ]


def test_unpaired_pictures_are_named(tmp_path: Path) -> None:
    put(tmp_path / "low/1.png"), put(tmp_path / "low/2.png"), put(tmp_path / "high/2.png")
    put(tmp_path / "high/3.png")
    with pytest.raises(UserError, match=r"low/1.png has no partner.*high/3.png has no partner"):
        pair_folders(tmp_path / "low", tmp_path / "high")


def test_many_unpaired_pictures_are_counted(tmp_path: Path) -> None:
    for number in range(9):
        put(tmp_path / f"low/{number}.png")
    put(tmp_path / "high/0.png")
    with pytest.raises(UserError, match="and 5 more such faults"):
        pair_folders(tmp_path / "low", tmp_path / "high")


def test_two_pictures_of_one_name_are_a_mistake(tmp_path: Path) -> None:
    put(tmp_path / "low/low-1.png"), put(tmp_path / "low/low1.png"), put(tmp_path / "high/high1.png")
    with pytest.raises(UserError, match=r"low-1\.png and low1\.png share the name '1'"):
        pair_folders(tmp_path / "low", tmp_path / "high")
    put(tmp_path / "low/2.png"), put(tmp_path / "low/2.bmp"), put(tmp_path / "high/2.png")
    with pytest.raises(UserError, match=r"2\.bmp and 2\.png share the name '2'"):
        pair_folders(tmp_path / "low", tmp_path / "high")


@pytest.mark.parametrize(
    ("low", "high", "name"),
    [
        ("low00001", "normal00001", "00001"),
        ("low_a", "high_a", "a"),
        ("low-a", "GT a", "a"),
        ("0001_low", "0001_high", "0001"),
        ("0001low", "0001high", "0001"),
        ("a b-Low", "a b_gt", "a b"),
        ("a_low", "a", "a"),
        ("low__light__7", "high__light__7", "light__7"),
    ],
)
def test_sides_set_off_from_the_name(low: str, high: str, name: str, tmp_path: Path) -> None:
    put(tmp_path / f"low/{low}.png"), put(tmp_path / f"high/{high}.png")
    assert [pair.name for pair in pair_folders(tmp_path / "low", tmp_path / "high")] == [name]


@pytest.mark.parametrize(
    ("low", "high"),
    [
        ("lowland", "highland"),
        ("lowa", "higha"),
        ("gtr", "r"),
        ("inputs", "targets"),
        ("aglow", "ahigh"),
        ("low", "high"),
        ("_low", "_gt"),
    ],
)
def test_words_that_begin_or_end_like_sides(low: str, high: str, tmp_path: Path) -> None:
    put(tmp_path / f"low/{low}.png"), put(tmp_path / f"high/{high}.png")
    with pytest.raises(UserError, match=rf"{low}.png has no partner of the same name.*{high}.png has no"):
        pair_folders(tmp_path / "low", tmp_path / "high")
    put(tmp_path / f"high/{low}.png"), put(tmp_path / f"low/{high}.png")
    found = pair_folders(tmp_path / "low", tmp_path / "high")
    named = [(pair.name, pair.low.stem, pair.high.stem) for pair in found]
    assert named == [(name, name, name) for name in sorted((low, high))]


def test_the_same_name_goes_first(tmp_path: Path) -> None:
    """Each low is paired once, and the names of pairs differ."""
    for name in ("tide", "low_tide", "high_tide", "low_1", "1"):
        put(tmp_path / f"low/{name}.png")
    for name in ("tide", "low_tide", "high_tide", "high_1", "1"):
        put(tmp_path / f"high/{name}.png")
    found = {
        pair.name: (pair.low.stem, pair.high.stem)
        for pair in pair_folders(tmp_path / "low", tmp_path / "high")
    }
    same = {name: (name, name) for name in ("tide", "low_tide", "high_tide", "1")}
    assert found == same | {"low_1": ("low_1", "high_1")}


def test_an_empty_folder_is_a_mistake(tmp_path: Path) -> None:
    put(tmp_path / "low/1.png"), (tmp_path / "high").mkdir()
    with pytest.raises(UserError, match=f"^no pictures in {tmp_path / 'high'}$"):
        pair_folders(tmp_path / "low", tmp_path / "high")
    (tmp_path / "LIME").mkdir()
    with pytest.raises(UserError, match="no pictures in"):
        find_pictures("lime", tmp_path)


def sid(root: Path) -> Path:
    for scene in ("00001", "10003", "20001"):
        for exposure in ("0.04s", "0.1s"):
            put(root / f"SID/short_sid2/{scene}/{scene}_00_{exposure}.npy", 1)
        for take, value in (("00", 100), ("01", 200)):
            put(root / f"SID/long_sid2/{scene}/{scene}_{take}_10s.npy", value)
    return root


def test_sid_splits_by_the_first_digit_and_shares_the_first_gt(tmp_path: Path) -> None:
    train = find_pairs("sid", sid(tmp_path), "train")
    assert [pair.name for pair in train] == [
        f"{scene}/{scene}_00_{exposure}" for scene in ("00001", "20001") for exposure in ("0.04s", "0.1s")
    ]
    test = find_pairs("sid", tmp_path, "test")
    assert {pair.high.name for pair in test} == {"10003_00_10s.npy"} and len(test) == 2


def test_a_scene_without_gt_is_a_mistake_of_its_own_split_only(tmp_path: Path) -> None:
    put(sid(tmp_path) / "SID/short_sid2/10099/10099_00_0.1s.npy")
    assert len(find_pairs("sid", tmp_path, "train")) == 4
    with pytest.raises(UserError, match=r"10099 has no partner folder in .*long_sid2"):
        find_pairs("sid", tmp_path, "test")
    (tmp_path / "SID/long_sid2/10099").mkdir()
    with pytest.raises(UserError, match=r"no pictures in .*long_sid2/10099"):
        find_pairs("sid", tmp_path, "test")


def sdsd(root: Path, place: str, videos: tuple[str, ...], frames: int = 2) -> Path:
    for video in videos:
        for frame in range(1, frames + 1):
            for side, value in (("input", 10), ("GT", 100)):
                put(root / f"SDSD/{place}_static_np/{side}/{video}/{frame:04d}.npy", value + frame)
    return root


@pytest.mark.parametrize(("place", "held"), [("indoor", INDOOR_TEST), ("outdoor", OUTDOOR_TEST)])
def test_sdsd_holds_out_its_named_videos_and_their_second_takes(
    tmp_path: Path, place: str, held: tuple[str, ...]
) -> None:
    free = ("pair2", "pair10", "pair10_2", "pair12") if place == "indoor" else ("MVI_0918", "MVI_1004_2")
    second = f"{held[0]}_2"
    sdsd(tmp_path, place, (*held, second, *free), frames=1)
    name = f"sdsd_{place}"
    test = {pair.name.partition("/")[0] for pair in find_pairs(name, tmp_path, "test")}
    assert test == {*held, second}
    train = [pair.name.partition("/")[0] for pair in find_pairs(name, tmp_path, "train")]
    assert train == list(free)


def test_first30_keeps_the_first_frames_of_each_video(tmp_path: Path) -> None:
    sdsd(tmp_path, "indoor", ("pair1", "pair4"), frames=32)
    assert len(load_test_set("sdsd_indoor", tmp_path)) == 64
    names = [picture.name for picture in load_test_set("sdsd_indoor", tmp_path, frames="first30")]
    assert names == [f"{video}/{frame:04d}" for video in ("pair1", "pair4") for frame in range(1, 31)]


def test_first30_counts_frames_without_leading_zeros(tmp_path: Path) -> None:
    for frame in range(1, 35):
        for side in ("input", "GT"):
            put(tmp_path / f"SDSD/indoor_static_np/{side}/pair1/{frame}.npy")
    names = [picture.name for picture in load_test_set("sdsd_indoor", tmp_path, frames="first30")]
    assert names == [f"pair1/{frame}" for frame in range(1, 31)]


def test_first30_is_for_videos(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="first30 is for videos"):
        find_pairs("lolv1", tmp_path, "test", frames="first30")


def test_frames_are_matched_by_name_within_their_video(tmp_path: Path) -> None:
    sdsd(tmp_path, "indoor", ("pair1",))
    (tmp_path / "SDSD/indoor_static_np/GT/pair1/0002.npy").unlink()
    with pytest.raises(UserError, match=r"input/pair1/0002.npy has no partner"):
        find_pairs("sdsd_indoor", tmp_path, "test")


def test_a_tree_without_scenes_of_a_split(tmp_path: Path) -> None:
    sdsd(tmp_path, "indoor", ("pair1",))
    with pytest.raises(UserError, match="no train scenes of sdsd_indoor"):
        find_pairs("sdsd_indoor", tmp_path, "train")


def test_frames_are_read_as_rgb(tmp_path: Path) -> None:
    sdsd(tmp_path, "indoor", ("pair1",), frames=1)
    blue = np.zeros((8, 12, 3), np.uint8)
    blue[..., 0] = 255
    np.save(tmp_path / "SDSD/indoor_static_np/input/pair1/0001.npy", blue)
    (picture,) = load_test_set("sdsd_indoor", tmp_path)
    assert load_picture(picture.low)[0, 0].tolist() == [0, 0, 255]


@pytest.mark.parametrize("name", ["sid", "sdsd_indoor"])
def test_training_on_arrays(tmp_path: Path, name: str) -> None:
    sid(tmp_path), sdsd(tmp_path, "indoor", ("pair2", "pair2_2", "pair3"))
    config = DataConfig(dataset=name, crop=8, memory_gb=0, validation=0.3)
    train, validation = split_validation(load_pairs(config, tmp_path, "train"), config.validation, seed=0)
    assert {pair.scene for pair in train}.isdisjoint(pair.scene for pair in validation)
    batch = TrainingCrops(train, config, seed=0)[0, 0]
    assert batch["low"].shape == (3, 8, 8) and batch["low"].mean() < batch["high"].mean()


def test_a_set_without_gt_cannot_be_trained_on(tmp_path: Path) -> None:
    put(tmp_path / "DICM/01.jpg")
    with pytest.raises(UserError, match="dicm has no ground truth"):
        load_pairs(DataConfig(dataset="dicm"), tmp_path, "train")


def test_unknown_names_come_with_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean lolv2_real"):
        get_layout("lolv2-real")
    with pytest.raises(UserError, match="known: lolv1"):
        load_test_set("cifar", Path())


def test_the_demo_is_a_test_set(tmp_path: Path) -> None:
    names = [p.name for p in load_test_set("demo", tmp_path) if p.low.shape == p.high.shape]
    assert len(names) == len(set(names)) == 8
