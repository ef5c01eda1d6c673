from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from reddit.data import TestPicture
from reddit.evaluation.predictions import check_sizes, match_predictions, predict_from, size_of, sizes_of
from reddit.image.read import read_uint8
from reddit.image.write import encode
from reddit.utils.errors import UserError


def put(folder: Path, *names: str, size: tuple[int, int] = (4, 6), value: int = 0) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(np.full((*size, 3), value, np.uint8), path.suffix.lower()))


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("23.png", "23"),
        ("23.JPG", "23"),
        ("birds.bmp", "birds"),
        ("photo.v2.png", "photo.v2"),
        ("low00690.png", "00690"),
        ("normal00690.png", "00690"),
        ("00690.png", "low00690"),
        ("R01ab02T.png", "r01ab02t"),
        ("result_0023_out.png", "23"),
        ("23_enhanced.webp", "00023"),
        ("7.png.png", "7.png"),
        ("7.png", "7.png"),
        ("pair1/0001.png", "pair1/0001"),
        ("pair1/frame_1.jpg", "pair1/0001"),
    ],
)
def test_a_file_is_found_by_stem_or_prefix_or_only_number(tmp_path: Path, file: str, name: str) -> None:
    put(tmp_path, file)
    assert match_predictions(tmp_path, [name]) == {name: tmp_path / file}


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("24.png", "23"),
        ("2_23.png", "23"),  # two numbers: which one is meant is a guess
        ("birds_out.png", "birds"),
        ("pair2/0001.png", "pair1/0001"),
        ("pair1_0001.png", "pair1/0001"),
        ("sub/23.png", "23"),
        (".23.png", "23"),
        ("23_x.npy.tif", "24"),
    ],
)
def test_a_file_that_matches_no_name_is_not_used(tmp_path: Path, file: str, name: str) -> None:
    put(tmp_path, file)
    with pytest.raises(UserError, match=r"1 without a picture|no pictures in"):
        match_predictions(tmp_path, [name], allow_extra=True)


def test_the_order_is_that_of_the_names(tmp_path: Path) -> None:
    put(tmp_path, "1.png", "10_a.png", "low2.png")
    assert list(match_predictions(tmp_path, ["10", "2", "1"])) == ["10", "2", "1"]


def test_an_exact_name_is_preferred(tmp_path: Path) -> None:
    put(tmp_path, "23.png", "23_before.png")
    found = match_predictions(tmp_path, ["23"], allow_extra=True)
    assert found == {"23": tmp_path / "23.png"}


def test_inputs_next_to_outputs_are_not_scored(tmp_path: Path) -> None:
    put(tmp_path, "low23.png", "23_out.png")
    with pytest.raises(UserError, match=r"1 with several pictures: 23 \(low23.png or 23_out.png\)"):
        match_predictions(tmp_path, ["23"], allow_extra=True)


def test_two_extensions_of_one_stem_are_ambiguous(tmp_path: Path) -> None:
    put(tmp_path, "23.png", "23.jpg")
    with pytest.raises(UserError, match=r"23 \(23.jpg or 23.png\)"):
        match_predictions(tmp_path, ["23"])


def test_a_stem_that_matches_two_names_is_used_for_neither(tmp_path: Path) -> None:
    put(tmp_path, "gt_a.png")
    with pytest.raises(UserError, match="2 without a picture: low_a, high_a"):
        match_predictions(tmp_path, ["low_a", "high_a"], allow_extra=True)


def test_numbers_are_not_compared_if_two_names_share_one(tmp_path: Path) -> None:
    put(tmp_path, "out1.png", "out2.png")
    assert len(match_predictions(tmp_path, ["a1", "b2"])) == 2
    with pytest.raises(UserError, match="3 without a picture"):
        match_predictions(tmp_path, ["a1", "b1", "c2"], allow_extra=True)


def test_numbers_are_not_compared_if_a_name_has_none(tmp_path: Path) -> None:
    put(tmp_path, "house.png", "shot_2.png")
    with pytest.raises(UserError, match="1 without a picture: city_2"):
        match_predictions(tmp_path, ["house", "city_2"], allow_extra=True)


def test_frames_of_different_videos_may_share_numbers(tmp_path: Path) -> None:
    put(tmp_path, "pair1/f1.png", "pair2/f1.png")
    found = match_predictions(tmp_path, ["pair1/0001", "pair2/0001"])
    assert found["pair2/0001"] == tmp_path / "pair2" / "f1.png"


def test_all_mismatches_are_in_one_line(tmp_path: Path) -> None:
    put(tmp_path, "1.png", "1.bmp", "a.png", "b.png")
    names = [str(k) for k in range(1, 8)]
    with pytest.raises(UserError) as caught:
        match_predictions(tmp_path, names)
    message = str(caught.value)
    assert "\n" not in message
    assert "6 without a picture: 2, 3, 4, 5, …" in message
    assert "1 with several pictures: 1 (1.bmp or 1.png)" in message
    assert "2 in the folder that belong to no test picture: a.png, b.png;" in message
    assert "7 test pictures" in message


def test_extra_files_are_an_error_unless_allowed(tmp_path: Path) -> None:
    put(tmp_path, "1.png", "grid.png")
    with pytest.raises(UserError, match=r"1 in the folder that belong to no test picture: grid.png"):
        match_predictions(tmp_path, ["1"])
    assert list(match_predictions(tmp_path, ["1"], allow_extra=True)) == ["1"]


def test_missing_files_are_an_error_unless_allowed(tmp_path: Path) -> None:
    put(tmp_path, "1.png", "3.png")
    with pytest.raises(UserError, match="1 without a picture: 2"):
        match_predictions(tmp_path, ["1", "2", "3"])
    assert list(match_predictions(tmp_path, ["1", "2", "3"], allow_missing=True)) == ["1", "3"]
    with pytest.raises(UserError, match="2 without a picture: 8, 9"):  # not a single one is there
        match_predictions(tmp_path, ["8", "9"], allow_missing=True, allow_extra=True)


def test_a_missing_or_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no pictures in"):
        match_predictions(tmp_path, ["1"])
    with pytest.raises(UserError, match="cannot list"):
        match_predictions(tmp_path / "nowhere", ["1"])


def test_all_wrong_sizes_are_listed(tmp_path: Path) -> None:
    put(tmp_path, "1.png", "2.jpg", "4.png", size=(4, 6))
    put(tmp_path, "3.png", size=(6, 4))
    matched = match_predictions(tmp_path, ["1", "2", "3", "4"])
    check_sizes(matched, dict.fromkeys(("1", "2"), (4, 6)) | {"3": (6, 4)})
    with pytest.raises(UserError) as caught:
        check_sizes(matched, {"1": (4, 6), "2": (8, 6), "3": (4, 6)})
    message = str(caught.value)
    assert "2 of 4 pictures" in message
    assert f"{tmp_path / '2.jpg'} is 6×4, not 6×8" in message
    assert f"{tmp_path / '3.png'} is 4×6, not 6×4" in message
    assert "1.png" not in message


def test_the_size_of_a_png_needs_its_header_alone(tmp_path: Path) -> None:
    put(tmp_path, "1.png", size=(3, 300))
    path = tmp_path / "1.png"
    path.write_bytes(path.read_bytes()[:24])
    assert size_of(path) == (3, 300)
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(UserError, match="is damaged"):
        size_of(path)
    assert size_of(np.zeros((5, 7, 3), np.uint8)) == (5, 7)


def test_the_size_of_a_png_is_that_of_the_upright_picture(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.new("RGB", (7, 3)).save(tmp_path / "turned.png", exif=exif)
    assert size_of(tmp_path / "turned.png") == (7, 3) == read_uint8(tmp_path / "turned.png").shape[:2]


def test_a_pipe_is_refused_without_blocking(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "1.png")
    matched = match_predictions(tmp_path, ["1"])
    check_sizes(matched, {"1": (4, 6)})
    with pytest.raises(UserError, match=r"1\.png is no file but a folder, a pipe or a device"):
        predict_from(matched)("1", np.zeros((4, 6, 3), np.uint8), 0)


def test_sizes_of_a_test_set_are_those_of_its_lows(tmp_path: Path) -> None:
    put(tmp_path, "low.bmp", size=(5, 9))
    pictures = [
        TestPicture("a", tmp_path / "low.bmp", None),
        TestPicture("b", np.zeros((2, 3, 3), np.uint8), None),
    ]
    assert sizes_of(pictures) == {"a": (5, 9), "b": (2, 3)}


def test_a_folder_predicts_its_pictures(tmp_path: Path) -> None:
    put(tmp_path, "out_1.png", value=51)
    predict = predict_from(match_predictions(tmp_path, ["1"]))
    low = np.zeros((4, 6, 3), np.uint8)
    output = predict("1", low, 0)
    assert output.dtype == torch.float32 and output.shape == (3, 4, 6)
    assert output.unique().tolist() == pytest.approx([0.2])
    assert torch.equal(output, predict("1", low, 1))


def test_a_wrong_size_is_found_at_the_picture_too(tmp_path: Path) -> None:
    put(tmp_path, "1.png", size=(4, 6))
    predict = predict_from(match_predictions(tmp_path, ["1"]))
    with pytest.raises(UserError, match=r"1.png is 6×4, but its test picture is 6×5"):
        predict("1", np.zeros((5, 6, 3), np.uint8), 0)
